-- Machines that were opened with a code while the server was out of reach, by when they were and until when they are: no grant says so.
create table code_uses (
    request    {text} not null,
    tenant     {text} not null,
    machine    {text} not null,
    opened_at  bigint not null,
    over_at    bigint not null,
    created_at bigint not null,
    constraint code_uses_pk primary key (request)
){rowless};
create index code_uses_by_machine on code_uses (machine, created_at, request);
create index code_uses_by_end on code_uses (tenant, over_at, request);
insert into code_uses (request, tenant, machine, opened_at, over_at, created_at)
-- only sqlite:
select r.id, r.tenant, json_extract(r.items, '$[0].machine'), min(r.start_at, r.created_at),
min(r.start_at, r.created_at) + json_extract(r.items, '$[0].duration') / 1000, r.created_at
-- only postgres:
select r.id, r.tenant, (r.items::jsonb -> 0 ->> 'machine'), least(r.start_at, r.created_at),
least(r.start_at, r.created_at) + (r.items::jsonb -> 0 ->> 'duration')::bigint / 1000, r.created_at
-- end
from requests r where r.id in (select v.request from reviews v where v.offline = 1);

-- What ended and was not seen closed is looked for by tenant.
drop index grants_unproven;
create index grants_unproven on grants (tenant, ended_at, id) where closed_at = 0 and ended_at <> 0;
