-- One earn of a random member.
\set m random(1, :members)
select seq from jifen.earn('bench', 'member ' || :m, 10, reference => 'order ' || :m, source => 'purchase');
