"""A reference is made where it is named, and never otherwise."""


def test_a_reference_is_planned_from_the_tables_of_its_study_only_where_it_is_named(fresh):
    jobs = fresh.planned("config/reference/digits-cnn-tiny-compression-demo.csv")
    assert (jobs["reference"], jobs["tabulate"]) == (1, 1)
    assert fresh.planned()["reference"] == 0
