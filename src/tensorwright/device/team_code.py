"""Native code of a thread team that shares the work of a table (see driver.py): LLVM IR text.

A team works through a table in groups of phases: `groups` is an array of (first phase, number of phases, halvings);
null stands for groups of one phase. The parts of a group may run at the same time; a group begins when the one before
is done. Each thread has one part of every group; it falls into 2^halvings pieces.

A part is done by whoever claims it: its own thread, which comes first unless the system has it waiting for a core, or
a thread that is through with its own part and finds the other's unclaimed. Who claims a part of several pieces lays
them out, for itself and all others who have nothing else to do. So a team is never slower than its running threads: a
worker that still wakes up, or was preempted, is only waited for if it holds a piece.

That last wait is what a busy process beside us costs: the system takes a core away for milliseconds (4 of 8 under Linux
with 250 Hz), in the midst of a piece. So threads offer their core (sched_yield) every STINT, when they hold nothing:
whoever else wants the core takes it then, and gets its share without holding anybody up. Long parts are in pieces so
that there are such moments. Without others, the offer costs half a microsecond.

Nor does the system always see that two of our threads share a core while another has none of them: it counts three busy
processes on two cores, and any split of them is as good to it. Then the team has one core of the one and a half that it
could have. So a worker that finds itself on the caller's core, when a run begins or after an offer, moves to another
that it may use; from there the system may move it as before.

A team's memory is TEAM_BYTES, each item on its own cache line:

      0  word        (number of the run << 17) | WRITING while the job is being written | threads taking part
     64  counter     of what is done, in all runs, UNITS for a part; only grows
    128  job         table, groups, number of groups, counter's value before the run, pauses before stealing;
                     core that the caller was last seen on, -1 where cores cannot be told
    192  sleepers    workers about to sleep, or asleep, on `word`
    256  claims      one per thread: (number of the run << 20) + group whose part is still to be claimed;
                     pieces: (run and group, as above) << 10 | halvings << 7 | units of its part given out so far;
                     when the thread last offered its core, in ns

Why late workers do no harm: they copy the job and look at word again (a seqlock); they touch the table only after they
claimed a part, which works only while the run waits for it; claims and the counter never return to an old value.
A worker about to sleep counts itself in sleepers, then sleeps unless word has changed; the caller changes word, then
looks at sleepers. Both orders are sequentially consistent: one of them always sees the other.
"""

from __future__ import annotations

SERIAL = 1
MAX_THREADS = 1024
TEAM_BYTES = 256 + 64 * MAX_THREADS
GROUP_BITS = 20
MAX_GROUPS = (1 << GROUP_BITS) - 1
GROUP_BYTES = 24
MAX_HALVINGS = 6
UNITS = 1 << MAX_HALVINGS                           # of a part
STINT = 2_000_000                                   # ns that a thread works before it offers its core
WRITING = 1 << 16
STOP = 0xFFFF                                       # this many threads: the workers leave
STEAL_AFTER = 24                                    # pauses after which an unclaimed part of another's is taken
NEVER = -1                                          # when timing: the thread with the clock is to see every group end
STEAL_EVERY = 32                                    # pauses between two looks at others' parts
YIELD_AFTER = 10_000                                # pauses after which a waiting thread yields its core

LOAD_PHASE = """
  %at = mul i64 %i, 40
  %p = getelementptr i8, ptr %table, i64 %at
  %f = load ptr, ptr %p, align 8
  %p1 = getelementptr i8, ptr %p, i64 8
  %args = load ptr, ptr %p1, align 8
  %p2 = getelementptr i8, ptr %p, i64 16
  %dims = load ptr, ptr %p2, align 8
  %p3 = getelementptr i8, ptr %p, i64 24
  %chunks = load i64, ptr %p3, align 8
"""


def share(name: str, parameter: str, after: str) -> str:
    """What each thread of a team does: its part of every group, and others' if they do not come."""
    return f"""
define void @{name}(ptr %table, ptr %groups, i64 %count, i64 %tid, i64 %T, ptr %team, i64 %ticket,
                    i64 %base, i64 %patience{parameter}) nounwind {{
entry:
  %counter = getelementptr i8, ptr %team, i64 64
  %claims = getelementptr i8, ptr %team, i64 256
  %units = mul i64 %T, {UNITS}
  br label %group
group:
  %i = phi i64 [0, %entry], [%next, %over]
  %target = phi i64 [%base, %entry], [%reached, %over]
  %reached = add i64 %target, %units
  %now = add i64 %ticket, %i
  call void @tw_part(ptr %table, ptr %groups, i64 %i, i64 %now, i64 %tid, i64 %tid, i64 %T, ptr %team)
  br label %wait
wait:
  %n = phi i64 [0, %group], [%more, %pause], [%more, %other], [%rest, %yield]
  %done_units = load atomic i64, ptr %counter acquire, align 64
  %all = icmp sge i64 %done_units, %reached
  br i1 %all, label %over, label %check
check:
  %more = add i64 %n, 1
  %turn = and i64 %n, {STEAL_EVERY - 1}
  %steal = icmp eq i64 %turn, %patience
  br i1 %steal, label %other, label %check_tired
check_tired:
  %tired = icmp ugt i64 %n, {YIELD_AFTER}
  br i1 %tired, label %yield, label %pause
pause:
  PAUSE
  br label %wait
yield:
  call i32 @sched_yield()
  %rest = sub i64 %n, 20
  br label %wait
other:
  %u = phi i64 [0, %check], [%u_next, %other]
  call void @tw_part(ptr %table, ptr %groups, i64 %i, i64 %now, i64 %u, i64 %tid, i64 %T, ptr %team)
  %u_next = add i64 %u, 1
  %others = icmp slt i64 %u_next, %T
  br i1 %others, label %other, label %wait
over:
{after}
  %next = add i64 %i, 1
  %again = icmp slt i64 %next, %count
  br i1 %again, label %group, label %done
done:
  ret void
}}
"""


def caller(name: str, share: str, patience: int, parameter: str, argument: str, first: str) -> str:
    """Publish a job, wake who sleeps, take part as thread 0. 0 < count, 0 < T."""
    return f"""
define void @{name}(ptr %team, ptr %table, ptr %groups, i64 %count, i64 %T{parameter}) nounwind {{
entry:
{first}  %counter = getelementptr i8, ptr %team, i64 64
  %job = getelementptr i8, ptr %team, i64 128
  %job1 = getelementptr i8, ptr %team, i64 136
  %job2 = getelementptr i8, ptr %team, i64 144
  %job3 = getelementptr i8, ptr %team, i64 152
  %job4 = getelementptr i8, ptr %team, i64 160
  %sleepers = getelementptr i8, ptr %team, i64 192
  %claims = getelementptr i8, ptr %team, i64 256
  call void @tw_settle(ptr %team, i64 0)
  %base = load atomic i64, ptr %counter acquire, align 8
  %old = load atomic i64, ptr %team monotonic, align 8
  %run = lshr i64 %old, 17
  %next = add i64 %run, 1
  %shifted = shl i64 %next, 17
  %word = or i64 %shifted, %T
  %writing = or i64 %word, {WRITING}
  %ticket = shl i64 %next, {GROUP_BITS}
  store atomic i64 %writing, ptr %team monotonic, align 8
  fence seq_cst
  store atomic ptr %table, ptr %job monotonic, align 8
  store atomic ptr %groups, ptr %job1 monotonic, align 8
  store atomic i64 %count, ptr %job2 monotonic, align 8
  store atomic i64 %base, ptr %job3 monotonic, align 8
  store atomic i64 {patience}, ptr %job4 monotonic, align 8
  br label %open
open:
  %u = phi i64 [0, %entry], [%u_next, %open]
  %at = shl i64 %u, 6
  %claim = getelementptr i8, ptr %claims, i64 %at
  store atomic i64 %ticket, ptr %claim monotonic, align 8
  %u_next = add i64 %u, 1
  %others = icmp slt i64 %u_next, %T
  br i1 %others, label %open, label %publish
publish:
  store atomic i64 %word, ptr %team seq_cst, align 8
  %asleep = load atomic i64, ptr %sleepers seq_cst, align 8
  %any = icmp ne i64 %asleep, 0
  br i1 %any, label %wake, label %go
wake:
  call void @tw_wake(ptr %team)
  br label %go
go:
  call void @{share}(ptr %table, ptr %groups, i64 %count, i64 0, i64 %T, ptr %team, i64 %ticket, i64 %base,
                     i64 {patience}{argument})
  ret void
}}
"""


TEAM = f"""
define i1 @tw_claim(ptr %claim, i64 %now) nounwind {{
entry:
  %seen = load atomic i64, ptr %claim monotonic, align 64
  %free = icmp eq i64 %seen, %now
  br i1 %free, label %try, label %no
try:
  %after = add i64 %now, 1
  %pair = cmpxchg ptr %claim, i64 %now, i64 %after acq_rel monotonic
  %won = extractvalue {{ i64, i1 }} %pair, 1
  ret i1 %won
no:
  ret i1 false
}}

define i64 @tw_take(ptr %pieces, i64 %now) nounwind {{
entry:
  %now_high = shl i64 %now, 10
  br label %look
look:
  %seen = load atomic i64, ptr %pieces acquire, align 8
  %differs = xor i64 %seen, %now_high
  %of = lshr i64 %differs, 10
  %same = icmp eq i64 %of, 0
  %unit = and i64 %seen, 127
  %left = icmp ult i64 %unit, {UNITS}
  %free = and i1 %same, %left
  br i1 %free, label %try, label %no
try:
  %high = lshr i64 %seen, 7
  %halvings = and i64 %high, 7
  %step = lshr i64 {UNITS}, %halvings
  %after = add i64 %seen, %step
  %pair = cmpxchg ptr %pieces, i64 %seen, i64 %after acq_rel monotonic
  %won = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %won, label %yes, label %look
yes:
  ret i64 %seen
no:
  ret i64 -1
}}

define void @tw_part(ptr %table, ptr %groups, i64 %group, i64 %now, i64 %u, i64 %tid, i64 %T, ptr %team) nounwind {{
entry:
  %counter = getelementptr i8, ptr %team, i64 64
  %claims = getelementptr i8, ptr %team, i64 256
  %at = shl i64 %u, 6
  %claim = getelementptr i8, ptr %claims, i64 %at
  %pieces = getelementptr i8, ptr %claim, i64 8
  %mine_at = shl i64 %tid, 6
  %mine = getelementptr i8, ptr %claims, i64 %mine_at
  %since = getelementptr i8, ptr %mine, i64 16
  call void @tw_rest(ptr %since, ptr %team, i64 %tid)
  %won = call i1 @tw_claim(ptr %claim, i64 %now)
  br i1 %won, label %begin, label %take
begin:
  %plain = icmp eq ptr %groups, null
  br i1 %plain, label %whole, label %read
read:
  %group_at = mul i64 %group, {GROUP_BYTES}
  %g = getelementptr i8, ptr %groups, i64 %group_at
  %g2 = getelementptr i8, ptr %g, i64 16
  %halvings = load i64, ptr %g2, align 8
  %single = icmp eq i64 %halvings, 0
  br i1 %single, label %whole, label %open
whole:
  call void @tw_launch(ptr %table, ptr %groups, i64 %group, i64 %u, i64 %tid, i64 %T)
  %old = atomicrmw add ptr %counter, i64 {UNITS} acq_rel
  ret void
open:
  %now_high = shl i64 %now, 10
  %halvings_high = shl i64 %halvings, 7
  %offer = or i64 %now_high, %halvings_high
  store atomic i64 %offer, ptr %pieces release, align 8
  br label %take
take:
  %taken = call i64 @tw_take(ptr %pieces, i64 %now)
  %none = icmp eq i64 %taken, -1
  br i1 %none, label %done, label %piece
piece:
  %unit = and i64 %taken, 127
  %high = lshr i64 %taken, 7
  %k = and i64 %high, 7
  %step = lshr i64 {UNITS}, %k
  %index = udiv i64 %unit, %step
  %first = shl i64 %u, %k
  %part = add i64 %first, %index
  %parts = shl i64 %T, %k
  call void @tw_launch(ptr %table, ptr %groups, i64 %group, i64 %part, i64 %tid, i64 %parts)
  %old_piece = atomicrmw add ptr %counter, i64 %step acq_rel
  call void @tw_rest(ptr %since, ptr %team, i64 %tid)
  br label %take
done:
  ret void
}}

define void @tw_rest(ptr %since_at, ptr %team, i64 %tid) nounwind {{
entry:
  %clock = alloca [2 x i64]
  %nanoseconds_at = getelementptr i8, ptr %clock, i64 8
  call i32 @clock_gettime(i32 CLOCK, ptr %clock)
  %seconds = load i64, ptr %clock, align 8
  %rest = load i64, ptr %nanoseconds_at, align 8
  %whole = mul i64 %seconds, 1000000000
  %time = add i64 %whole, %rest
  %since = load i64, ptr %since_at, align 8
  %ran = sub i64 %time, %since
  %long = icmp ugt i64 %ran, {STINT}
  br i1 %long, label %yield, label %done
yield:
  call i32 @sched_yield()
  call i32 @clock_gettime(i32 CLOCK, ptr %clock)
  %seconds_now = load i64, ptr %clock, align 8
  %rest_now = load i64, ptr %nanoseconds_at, align 8
  %whole_now = mul i64 %seconds_now, 1000000000
  %time_now = add i64 %whole_now, %rest_now
  store i64 %time_now, ptr %since_at, align 8
  call void @tw_settle(ptr %team, i64 %tid)
  br label %done
done:
  ret void
}}

define void @tw_settle(ptr %team, i64 %tid) nounwind {{
entry:
  %home_at = getelementptr i8, ptr %team, i64 168
  %core = call i64 @tw_core()
  %is_caller = icmp eq i64 %tid, 0
  br i1 %is_caller, label %tell, label %compare
tell:
  store atomic i64 %core, ptr %home_at monotonic, align 8
  ret void
compare:
  %home = load atomic i64, ptr %home_at monotonic, align 8
  %same = icmp eq i64 %core, %home
  %known = icmp sge i64 %core, 0
  %crowded = and i1 %same, %known
  br i1 %crowded, label %leave, label %done
leave:
  call void @tw_leave(i64 %core)
  br label %done
done:
  ret void
}}

define void @tw_launch(ptr %table, ptr %groups, i64 %group, i64 %part, i64 %tid, i64 %parts) nounwind {{
entry:
  %single = icmp eq ptr %groups, null
  br i1 %single, label %begin, label %find
find:
  %group_at = mul i64 %group, {GROUP_BYTES}
  %g = getelementptr i8, ptr %groups, i64 %group_at
  %from = load i64, ptr %g, align 8
  %g1 = getelementptr i8, ptr %g, i64 8
  %length = load i64, ptr %g1, align 8
  br label %begin
begin:
  %first = phi i64 [%group, %entry], [%from, %find]
  %phases = phi i64 [1, %entry], [%length, %find]
  %last = add i64 %first, %phases
  %is_first = icmp eq i64 %part, 0
  %after_part = add i64 %part, 1
  br label %phase
phase:
  %i = phi i64 [%first, %begin], [%next, %tail]
{LOAD_PHASE}
  %p4 = getelementptr i8, ptr %p, i64 32
  %flags = load i64, ptr %p4, align 8
  %serial_bit = and i64 %flags, {SERIAL}
  %serial = icmp ne i64 %serial_bit, 0
  br i1 %serial, label %all_or_nothing, label %split
all_or_nothing:
  %whole = select i1 %is_first, i64 %chunks, i64 0
  br label %work
split:
  %low = mul i64 %chunks, %part
  %high = mul i64 %chunks, %after_part
  %b = udiv i64 %low, %parts
  %e = udiv i64 %high, %parts
  br label %work
work:
  %begin_ = phi i64 [0, %all_or_nothing], [%b, %split]
  %end_ = phi i64 [%whole, %all_or_nothing], [%e, %split]
  %any = icmp slt i64 %begin_, %end_
  br i1 %any, label %launch, label %tail
launch:
  call void %f(ptr %args, ptr %dims, i64 %begin_, i64 %end_, i64 %tid)
  br label %tail
tail:
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %last
  br i1 %more, label %phase, label %done
done:
  ret void
}}

define void @tw_worker(ptr %team, i64 %tid, i64 %first, i64 %spins) nounwind {{
entry:
  %job = getelementptr i8, ptr %team, i64 128
  %job1 = getelementptr i8, ptr %team, i64 136
  %job2 = getelementptr i8, ptr %team, i64 144
  %job3 = getelementptr i8, ptr %team, i64 152
  %job4 = getelementptr i8, ptr %team, i64 160
  br label %look
look:
  %n = phi i64 [0, %entry], [%more, %pause], [0, %sleep], [0, %fresh], [0, %part], [%n, %copy]
  %seen = phi i64 [%first, %entry], [%seen, %pause], [%seen, %sleep], [%word, %fresh], [%word, %part], [%seen, %copy]
  %word = load atomic i64, ptr %team acquire, align 64
  %same = icmp eq i64 %word, %seen
  %writing_bit = and i64 %word, {WRITING}
  %writing = icmp ne i64 %writing_bit, 0
  %nothing = or i1 %same, %writing
  br i1 %nothing, label %idle, label %new
idle:
  %tired = icmp ugt i64 %n, %spins
  br i1 %tired, label %sleep, label %pause
pause:
  PAUSE
  %more = add i64 %n, 1
  br label %look
sleep:
  call void @tw_sleep(ptr %team, i64 %seen)
  br label %look
new:
  %T = and i64 %word, 65535
  %stop = icmp eq i64 %T, {STOP}
  br i1 %stop, label %leave, label %fresh
fresh:
  %mine = icmp slt i64 %tid, %T
  br i1 %mine, label %copy, label %look
copy:
  %table = load atomic ptr, ptr %job monotonic, align 8
  %groups = load atomic ptr, ptr %job1 monotonic, align 8
  %count = load atomic i64, ptr %job2 monotonic, align 8
  %base = load atomic i64, ptr %job3 monotonic, align 8
  %patience = load atomic i64, ptr %job4 monotonic, align 8
  fence acquire
  %still = load atomic i64, ptr %team monotonic, align 64
  %whole = icmp eq i64 %still, %word
  br i1 %whole, label %part, label %look
part:
  call void @tw_settle(ptr %team, i64 %tid)
  %run = lshr i64 %word, 17
  %ticket = shl i64 %run, {GROUP_BITS}
  call void @tw_share(ptr %table, ptr %groups, i64 %count, i64 %tid, i64 %T, ptr %team, i64 %ticket, i64 %base,
                      i64 %patience)
  br label %look
leave:
  ret void
}}

define void @tw_stop(ptr %team) nounwind {{
  %old = load atomic i64, ptr %team monotonic, align 8
  %run = lshr i64 %old, 17
  %next = add i64 %run, 1
  %shifted = shl i64 %next, 17
  %word = or i64 %shifted, {STOP}
  store atomic i64 %word, ptr %team seq_cst, align 8
  call void @tw_wake(ptr %team)
  ret void
}}

declare i32 @sched_yield()
"""


MASK_WORDS = 128                                    # of 64 cores each: more than Linux knows

CORES = f"""
declare i32 @sched_getcpu()
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @sched_setaffinity(i32, i64, ptr)

define i64 @tw_core() nounwind {{
  %core = call i32 @sched_getcpu()
  %wide = sext i32 %core to i64
  ret i64 %wide
}}

define void @tw_leave(i64 %core) nounwind {{
entry:
  %mask = alloca [{MASK_WORDS} x i64], align 8
  %failed = call i32 @sched_getaffinity(i32 0, i64 {8 * MASK_WORDS}, ptr %mask)
  %word = lshr i64 %core, 6
  %bit = and i64 %core, 63
  %fits = icmp ult i64 %word, {MASK_WORDS}
  %good = icmp eq i32 %failed, 0
  %able = and i1 %fits, %good
  br i1 %able, label %clear, label %done
clear:
  %at = getelementptr [{MASK_WORDS} x i64], ptr %mask, i64 0, i64 %word
  %own = load i64, ptr %at, align 8
  %one = shl i64 1, %bit
  %others = xor i64 %one, -1
  %less = and i64 %own, %others
  store i64 %less, ptr %at, align 8
  br label %look
look:
  %i = phi i64 [0, %clear], [%next, %look]
  %found = phi i64 [0, %clear], [%more, %look]
  %p = getelementptr [{MASK_WORDS} x i64], ptr %mask, i64 0, i64 %i
  %cores = load i64, ptr %p, align 8
  %more = or i64 %found, %cores
  %next = add i64 %i, 1
  %again = icmp ult i64 %next, {MASK_WORDS}
  br i1 %again, label %look, label %looked
looked:
  %any = icmp ne i64 %more, 0
  br i1 %any, label %move, label %done
move:
  call i32 @sched_setaffinity(i32 0, i64 {8 * MASK_WORDS}, ptr %mask)
  store i64 %own, ptr %at, align 8
  call i32 @sched_setaffinity(i32 0, i64 {8 * MASK_WORDS}, ptr %mask)
  br label %done
done:
  ret void
}}
"""

NO_CORES = """
define i64 @tw_core() nounwind {
  ret i64 -1
}
define void @tw_leave(i64 %core) nounwind {
  ret void
}
"""


def cores(linux: bool) -> str:
    """tw_core(): the core this thread runs on, -1 where it cannot be told. tw_leave(core): go to another if allowed."""
    return CORES if linux else NO_CORES


def sleep(futex: int | None) -> str:
    """tw_sleep(team, seen): return once word may differ from seen. tw_wake(team): wake all who sleep there."""
    if futex is None:
        return """
declare i32 @usleep(i32)
define void @tw_sleep(ptr %team, i64 %seen) nounwind {
  call i32 @usleep(i32 100)
  ret void
}
define void @tw_wake(ptr %team) nounwind {
  ret void
}
"""
    return f"""
declare i64 @syscall(i64, ...)
define void @tw_sleep(ptr %team, i64 %seen) nounwind {{
  %sleepers = getelementptr i8, ptr %team, i64 192
  atomicrmw add ptr %sleepers, i64 1 seq_cst
  %low = trunc i64 %seen to i32
  call i64 (i64, ...) @syscall(i64 {futex}, ptr %team, i32 128, i32 %low, ptr null, ptr null, i32 0)
  atomicrmw sub ptr %sleepers, i64 1 seq_cst
  ret void
}}
define void @tw_wake(ptr %team) nounwind {{
  call i64 (i64, ...) @syscall(i64 {futex}, ptr %team, i32 129, i32 2147483647, ptr null, ptr null, i32 0)
  ret void
}}
"""
