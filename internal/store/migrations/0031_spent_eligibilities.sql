-- Ids of eligibilities that were: requests and grants go on naming them, so none is ever taken again.
create table spent_eligibilities (
    id {text} not null,
    constraint spent_eligibilities_pk primary key (id)
);
insert into spent_eligibilities (id)
select distinct g.eligibility from grants g where g.eligibility <> '' and g.eligibility not in (select e.id from eligibilities e);
