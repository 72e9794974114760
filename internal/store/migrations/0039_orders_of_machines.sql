-- Lists of machines by when somebody was last on them, and by when they were added.
create index machines_by_last_access on machines (last_access, id);
create index machines_by_age on machines (created_at, id);
