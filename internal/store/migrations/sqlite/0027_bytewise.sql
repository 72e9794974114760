-- Text is compared byte by byte here; of PostgreSQL this makes three more columns so.
update directory set revision = revision where id = 1;
