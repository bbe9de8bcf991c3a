-- One redeem of a random member, of points that do not lapse.
\set m random(1, :members)
select seq from jifen.redeem('shop', 'member ' || :m, 1, reference => 'order ' || :m);
