-- Publications: of tables with conditions and lists of columns, of schemas, of everything, of nothing.
create publication "pub "" lished" with (publish = 'insert, delete', publish_via_partition_root = true);
alter publication "pub "" lished" owner to "sample owner"; alter publication "pub "" lished" add table only inherited_parent, part_root;
create publication all_tables for all tables with (publish = 'insert, truncate'); comment on publication all_tables is 'a publication';
create publication of_nothing;
\if :since_15
create publication filtered for table indexed (id, t) where (id > 10 and t <> E'it''s'), table identity_full with (publish = 'insert');
create publication of_schemas for tables in schema hidden, "app schema", table indexed where (b);
\endif

-- Trap: a subscription. It must come back disabled. The database cannot be dropped while it is there.
create subscription "sub "" scribed" connection 'host=127.0.0.1 port=1 dbname=''no where'' password=subscription-secret' publication "pub "" lished", other
  with (connect = false, enabled = false, create_slot = false, slot_name = none, synchronous_commit = 'local');
comment on subscription "sub "" scribed" is 'a subscription';
