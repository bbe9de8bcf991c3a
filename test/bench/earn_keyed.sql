-- One earn of a random member with a key of its own.
\set m random(1, :members)
\set n random(1, 9000000000000000000)
select seq from jifen.earn('bench', 'member ' || :m, 10, reference => 'order ' || :m, idempotency_key => 'key ' || :n, source => 'purchase');
