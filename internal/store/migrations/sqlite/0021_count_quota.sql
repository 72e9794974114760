-- PostgreSQL alone: see there.
select 1;
