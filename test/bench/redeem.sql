-- One redeem of a random member.
\set m random(1, :members)
select seq from jifen.redeem('bench', 'member ' || :m, 1, reference => 'order ' || :m);
