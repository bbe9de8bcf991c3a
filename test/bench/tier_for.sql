-- One tier_for of a random member.
\set m random(1, :members)
select jifen.tier_for('bench', 'member ' || :m);
