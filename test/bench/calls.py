"""calls.py: what each implementation is asked for, as scripts of pgbench.

A script is a choice of a member, :m, and what is done with it. Keys are random, so that none comes twice.
"""

# The Zipf choice's members are spread over the tables, as their numbers have nothing to do with how active they are.
CHOICES = {
    'any': '\\set m random(1, :members)\n',
    'zipf': '\\set z random_zipfian(1, :members, 1.05)\n\\set m 1 + permute(:z, :members)\n',
    'one': '\\set m 1\n',
}
KEY = '\\set n random(1, 9000000000000000000)\n'
# Lots are of 10 points, and the first may be one that is spent in part.
POINTS = '\\set points random(1, 21)\n'

CALLS = {
    'jifen': {
        'earn': KEY + """
select seq from jifen.earn('bench', 'member ' || :m, 10, reference => 'order ' || :m, idempotency_key => 'earn ' || :n,
    source => 'purchase');
""",
        'redeem': KEY + POINTS + """
select seq from jifen.redeem('bench', 'member ' || :m, :points, reference => 'order ' || :m, idempotency_key => 'redeem ' || :n);
""",
        'hold and capture': KEY + """
begin;
select seq as hold from jifen.hold('bench', 'member ' || :m, 1, until => now() + interval '1 hour', reference => 'order ' || :m,
    idempotency_key => 'hold ' || :n) \\gset
select seq from jifen.capture('bench', 'member ' || :m, :hold, reference => 'order ' || :m);
commit;
""",
        'balance': """
select available from jifen.balance('bench', 'member ' || :m);
""",
        'tier_for': """
select jifen.tier_for('bench', 'member ' || :m);
""",
    },
    'careful': {
        'earn': KEY + """
select careful.earn('member ' || :m, 10, 'order ' || :m, 'earn ' || :n);
""",
        'redeem': KEY + POINTS + """
select careful.redeem('member ' || :m, :points, 'order ' || :m, 'redeem ' || :n);
""",
        'hold and capture': KEY + """
begin;
select careful.hold('member ' || :m, 1, now() + interval '1 hour', 'order ' || :m, 'hold ' || :n) as hold \\gset
select careful.capture(:hold, 'order ' || :m);
commit;
""",
        'balance': """
select coalesce(sum(l.remaining), 0)
from careful.member m join careful.lot l using (member_id)
where m.code = 'member ' || :m and l.open and l.expires_at > now();
""",
        'tier_for': """
select case when points >= 1000 then 'gold' when points >= 20 then 'silver' end
from (
    select sum(j.points) as points
    from careful.member m join careful.journal j using (member_id)
    where m.code = 'member ' || :m and j.kind = 'earn' and j.created_at > now() - interval '12 months'
) q;
""",
    },
    'everyday': {
        'earn': KEY + """
select everyday.post('member ' || :m, 10, 'order ' || :m, 'earn ' || :n);
""",
        'redeem': KEY + POINTS + """
select everyday.post('member ' || :m, 0 - :points, 'order ' || :m, 'redeem ' || :n);
""",
        'balance': """
select balance from everyday.member where code = 'member ' || :m;
""",
    },
}

MIX = (('earn', 70), ('redeem', 15), ('balance', 15))
HOT = (('earn', 50), ('redeem', 50))
READS = ('balance', 'tier_for', 'select-only')

# pgbench's own, of so many of its rows.
SELECT_ONLY = '\\set aid random(1, :rows)\nselect abalance from pgbench_accounts where aid = :aid;\n'
SIMPLE_UPDATE = """
\\set aid random(1, :rows)
\\set tid random(1, 10)
\\set bid 1
\\set delta random(-5000, 5000)
begin;
update pgbench_accounts set abalance = abalance + :delta where aid = :aid;
select abalance from pgbench_accounts where aid = :aid;
insert into pgbench_history (tid, bid, aid, delta, mtime) values (:tid, :bid, :aid, :delta, current_timestamp);
end;
"""


def scripts(implementation, choice, shares):
    """[(weight, text)] of the shares (call, weight)."""
    return [(weight, CHOICES[choice] + CALLS[implementation][call]) for call, weight in shares]


def workloads():
    """(workload, implementation, scripts), of all that clients do call by call."""
    found = [(name, 'pgbench', [(1, name)]) for name in ('tpcb-like', 'simple-update', 'select-only')]
    for implementation, calls in CALLS.items():
        found += [(call, implementation, scripts(implementation, 'any', [(call, 1)])) for call in calls]
        found.append(('mix', implementation, scripts(implementation, 'zipf', MIX)))
        found.append(('one hot account', implementation, scripts(implementation, 'one', HOT)))
    return found
