"""Names are the same party or another one, as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.parties import PartyList, normal_name

LISTED = [
    "Viktor Aleksandrovich Demidenko",
    "Blackwater Bay Trading Co., Ltd.",
    "黑水湾国际贸易有限公司",
    "Zhuge Mingxuan",
    "诸葛明轩",
    "Müller, Jürgen",
    "Łukasz Wiśniewski",
    "Seán O’Connor",
    "山田 太郎",
    "김민준",
    "Li Na",
    "الشركة السورية للنفط",
]


@pytest.mark.parametrize(
    ("name", "entry", "least"),
    [
        ("VIKTOR ALEKSANDROVICH DEMIDENKO", 0, 100),
        ("Demidenko, Viktor Aleksandrovich", 0, 100),
        ("Viktor Aleksandrovitch Demidenko", 0, 95),
        ("Victor Aleksandrovich Demidenko", 0, 95),
        ("Viktor Alexandrovich Demydenko", 0, 90),
        ("blackwater bay trading", 1, 100),
        ("Blackwater-Bay Trading Company Limited", 1, 100),
        ("Blackwater Bay Tradings", 1, 95),
        ("Trading Blackwater Bay LLC", 1, 100),
        ("黑水湾 国际贸易 有限公司", 2, 100),
        ("黑水湾国际贸易", 2, 100),
        ("黑水湾国际贸易股份有限公司", 2, 100),
        ("Mingxuan Zhuge", 3, 100),
        ("ZhugeMingxuan", 3, 100),
        ("MingxuanZhuge", 3, 100),
        ("ZHUGE Minxuan", 3, 95),
        ("诸葛 明轩", 4, 100),
        ("Jurgen Muller", 5, 100),
        ("ＪÜＲＧＥＮ　ＭÜＬＬＥＲ", 5, 100),
        ("Lukasz Wisniewski", 6, 100),
        ("Sean OConnor", 7, 100),
        ("SEÁN O'CONNOR", 7, 100),
        ("山田太郎", 8, 100),
        ("김 민준", 9, 100),
        ("Na Li", 10, 100),
        ("LINA", 10, 100),
        ("الشركة السورية للنفط", 11, 100),
    ],
)
def test_one_party(name: str, entry: int, least: float) -> None:
    best = PartyList(LISTED).similar(name, 90.0)[0]
    assert best.place == entry
    assert least <= best.score <= 100
    assert (best.score == 100) is (least == 100)


@pytest.mark.parametrize(
    "name",
    [
        "Viktor Petrov",
        "Viktor Aleksandrovich",
        "Viktoria Demidenko",
        "Aleksandr Viktorovich Demchenko",
        "Blackwater Bay Shipping",
        "Bay Trading",
        "Whitewater Bay Trading",
        "黑水湾国际物流有限公司",
        "白水湾国际贸易有限公司",
        "诸葛明亮",
        "诸葛轩",
        "葛明轩",
        "Zhuge Mingyu",
        "Li Nan",
        "Li Ni",
        "Lina Wang",
        "Muller Schmidt",
        "山田花子",
        "김민지",
        "林小雨",
        "",
        "---",
        "Ltd",
    ],
)
def test_another_party(name: str) -> None:
    assert PartyList(LISTED).similar(name, 90.0) == ()


def test_short_names_on_the_list_are_not_guessed_at() -> None:
    assert PartyList(["Li Nan"]).similar("Li Na Nan", 80.0) == ()
    assert PartyList(["Li Nan"]).similar("li nan", 80.0)[0].score == 100


def test_the_same_name_twice_is_found_twice_in_the_list_s_order() -> None:
    found = PartyList(["Zhang Wei", "Other Name", "Wei ZHANG"]).similar("zhang wei", 90.0)
    assert [(match.place, match.score) for match in found] == [(0, 100.0), (2, 100.0)]
    assert PartyList([]).similar("zhang wei", 90.0) == ()


@given(st.permutations(["viktor", "aleksandrovich", "demidenko"]), st.sampled_from(" ,;\t/"))
def test_order_and_separators_do_not_matter(parts: list[str], between: str) -> None:
    """Any order of the parts, however they are separated or capitalised, is the same name."""
    for name in (between.join(parts), between.join(parts).upper()):
        assert normal_name(name).ordered == "aleksandrovich demidenko viktor"


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(name: str) -> None:
    """The normal form of a normal form is itself, whatever the text was."""
    once = normal_name(name).ordered
    assert normal_name(once).ordered == once
    assert all(match.score >= 90 for match in PartyList(LISTED).similar(name, 90.0))
