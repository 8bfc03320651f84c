"""The page that `wright onnx view` shows: a model as data, the page around it, and the server that hands it out."""
