-- How much a principal has in a tenant, and with an empty principal the tenant in all: grants that are open or should be,
-- grants that are scheduled, and pending requests. Triggers keep it, so that whoever moves a grant or a request counts it, and
-- that a request costs the same whatever there is.
create table quotas (
    tenant    {text} not null,
    principal {text} not null,
    open      bigint not null,
    scheduled bigint not null,
    pending   bigint not null,
    constraint quotas_pk primary key (tenant, principal)
){rowless};

insert into quotas (tenant, principal, open, scheduled, pending)
select tenant, principal, sum(open), sum(scheduled), sum(pending) from (
    select tenant, principal, case when state = 'scheduled' then 0 else 1 end as open, case when state = 'scheduled' then 1 else 0 end as scheduled, 0 as pending
    from grants where ended_at = 0
    union all select tenant, requester, 0, 0, 1 from requests where state = 'pending'
) each_one group by tenant, principal;

insert into quotas (tenant, principal, open, scheduled, pending)
select tenant, '', sum(open), sum(scheduled), sum(pending) from quotas group by tenant;

-- only sqlite:
create trigger grants_counted after insert on grants when new.ended_at = 0
begin
    insert into quotas (tenant, principal, open, scheduled, pending)
    values (new.tenant, new.principal, new.state <> 'scheduled', new.state = 'scheduled', 0), (new.tenant, '', new.state <> 'scheduled', new.state = 'scheduled', 0)
    on conflict (tenant, principal) do update set open = open + excluded.open, scheduled = scheduled + excluded.scheduled;
end;

create trigger grants_recounted after update of state on grants
when (old.ended_at = 0) <> (new.ended_at = 0) or (old.state = 'scheduled') <> (new.state = 'scheduled')
begin
    update quotas set
        open = open + (new.ended_at = 0 and new.state <> 'scheduled') - (old.ended_at = 0 and old.state <> 'scheduled'),
        scheduled = scheduled + (new.state = 'scheduled') - (old.state = 'scheduled')
    where tenant = new.tenant and principal in (new.principal, '');
end;

create trigger requests_counted after insert on requests when new.state = 'pending'
begin
    insert into quotas (tenant, principal, open, scheduled, pending) values (new.tenant, new.requester, 0, 0, 1), (new.tenant, '', 0, 0, 1)
    on conflict (tenant, principal) do update set pending = pending + 1;
end;

create trigger requests_recounted after update of state on requests when (old.state = 'pending') <> (new.state = 'pending')
begin
    update quotas set pending = pending + (new.state = 'pending') - (old.state = 'pending') where tenant = new.tenant and principal in (new.requester, '');
end;
-- only postgres:
create function count_quota(of_tenant text, of_principal text, more_open bigint, more_scheduled bigint, more_pending bigint) returns void language sql as $$
    insert into quotas as q (tenant, principal, open, scheduled, pending)
    values (of_tenant, of_principal, more_open, more_scheduled, more_pending), (of_tenant, '', more_open, more_scheduled, more_pending)
    on conflict (tenant, principal) do update
    set open = q.open + excluded.open, scheduled = q.scheduled + excluded.scheduled, pending = q.pending + excluded.pending
$$;

create function count_grant() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        perform count_quota(new.tenant, new.principal, (new.state <> 'scheduled')::int, (new.state = 'scheduled')::int, 0);
    else
        perform count_quota(new.tenant, new.principal,
            (new.ended_at = 0 and new.state <> 'scheduled')::int - (old.ended_at = 0 and old.state <> 'scheduled')::int,
            (new.state = 'scheduled')::int - (old.state = 'scheduled')::int, 0);
    end if;
    return null;
end
$$;

create function count_request() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        perform count_quota(new.tenant, new.requester, 0, 0, 1);
    else
        perform count_quota(new.tenant, new.requester, 0, 0, (new.state = 'pending')::int - (old.state = 'pending')::int);
    end if;
    return null;
end
$$;

create trigger grants_counted after insert on grants for each row when (new.ended_at = 0) execute function count_grant();

create trigger grants_recounted after update of state on grants for each row
when ((old.ended_at = 0) <> (new.ended_at = 0) or (old.state = 'scheduled') <> (new.state = 'scheduled')) execute function count_grant();

create trigger requests_counted after insert on requests for each row when (new.state = 'pending') execute function count_request();

create trigger requests_recounted after update of state on requests for each row
when ((old.state = 'pending') <> (new.state = 'pending')) execute function count_request();
-- end
