-- remind_at is when those who have not decided a pending request, and whoever made it, are to be reminded; 0 where nobody is.
alter table requests add column remind_at bigint not null default 0;

create index requests_to_remind on requests (remind_at, id) where state = 'pending' and remind_at <> 0;
