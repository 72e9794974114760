-- What a tenant's administrators decide for all of it, in one place: a further setting is a field of the body. So far
-- there are those of its alert rules.
create table tenant_settings (
    tenant   {text} not null,
    body     {text} not null,
    revision bigint not null,
    constraint tenant_settings_pk primary key (tenant),
    constraint tenant_settings_tenant foreign key (tenant) references tenants (id)
){rowless};

insert into tenant_settings (tenant, body, revision)
-- only sqlite:
select tenant, '{"alerts":[' || group_concat(body, ',' order by rule) || ']}', 1 from alert_rules group by tenant;
-- only postgres:
select tenant, '{"alerts":[' || string_agg(body, ',' order by rule) || ']}', 1 from alert_rules group by tenant;
-- end

drop table alert_rules;
