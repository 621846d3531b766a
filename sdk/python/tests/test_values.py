"""What a durable step returns comes back as what it was, or is refused at the step that returned it."""

import collections
import datetime
import decimal
import enum
import fractions
import functools
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import threading
import types
import typing
import unittest
import uuid
from dataclasses import FrozenInstanceError, dataclass, field, make_dataclass
from unittest import mock

from hero_tracing import NotKept, _kinds, _values
from hero_tracing._values import decode, digest, encode
from hero_tracing._wire import decode_json, encode_json
from tests.harness import SDK, PlayTest

try:
    import pydantic
except ImportError:
    pydantic = None
try:
    from zoneinfo import ZoneInfo

    BERLIN = ZoneInfo("Europe/Berlin")
except Exception:  # a machine without the time zone database
    BERLIN = None

UTC = datetime.timezone.utc
WHERE = "the result of step 'pay'"


class Color(enum.Enum):
    RED = 1
    CRIMSON = 1  # an alias
    BLUE = object()  # a value that could not be kept


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(str, enum.Enum):
    YES = "yes"


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class Bits(enum.IntFlag):
    A = 1
    B = 2


class Outer:
    class Inner(enum.Enum):
        X = "x"

    @dataclass
    class Point:
        x: int


@dataclass
class Order:
    name: str
    price: decimal.Decimal
    tags: set = field(default_factory=set)
    note: typing.Any = None


@dataclass(frozen=True)
class Frozen:
    x: int
    y: tuple = ()


@dataclass
class Slotted:
    __slots__ = ("a", "b")
    a: int
    b: list


@dataclass
class Checked:
    """Its `__init__` and `__post_init__` must not run again; what they set must be there."""

    x: int
    double: int = field(init=False)
    unset: int = field(init=False)

    def __post_init__(self):
        made.append(self.x)
        self.double = self.x * 2
        self.besides = (self.x,)

    @functools.cached_property
    def client(self):
        return threading.Lock()


made = []


@dataclass
class Child(Order):
    extra: bytes = b""


@dataclass
class Trouble(Exception):
    x: int


class Point(typing.NamedTuple):
    x: int
    y: typing.Any = 0


class Vector(collections.namedtuple("Vector", "x y")):
    __slots__ = ()

    def __new__(cls, x, y, *, from_outside):
        return super().__new__(cls, x, y)


class Attributed(collections.namedtuple("Attributed", "x")):
    pass


class Plain:
    def __init__(self):
        self.x = 1

    def __repr__(self):
        raise AssertionError("nothing may ask for a repr")


class Sub(str):
    pass


Row = collections.namedtuple("NotItsName", "a")
T = typing.TypeVar("T")


if pydantic:

    class Item(pydantic.BaseModel):
        name: str
        price: decimal.Decimal = decimal.Decimal(0)
        parts: typing.List["Item"] = []
        _secret: typing.Any = pydantic.PrivateAttr(default=None)

        @pydantic.field_validator("name")
        @classmethod
        def loud(cls, value):
            return value + "!"

        def model_post_init(self, context):
            made.append(self.name)

    class Open(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow", frozen=True)
        a_: int = pydantic.Field(alias="a")

    class Special(Item):
        at: datetime.datetime

        @functools.cached_property
        def lock(self):
            return threading.Lock()

    class Hidden(pydantic.BaseModel):
        lines: list = pydantic.Field(default_factory=list)
        _unset: int = pydantic.PrivateAttr()
        _set: int = pydantic.PrivateAttr(default=1)

    class Names(pydantic.RootModel[typing.Set[str]]):
        pass

    class Box(pydantic.BaseModel, typing.Generic[T]):
        content: T

    NumberBox = Box[int]

    @pydantic.dataclasses.dataclass
    class Measured:
        width: int

    try:
        import pydantic.v1 as old

        class OldItem(old.BaseModel):
            name: str
            when: datetime.date = None
            _secret = old.PrivateAttr(default=5)

            @old.validator("name")
            def loud(cls, value):
                return value + "!"

    except Exception:  # pydantic.v1 is not for the newest Pythons
        old = None


def text_of(value):
    return encode_json(encode(value, WHERE), "the encoded form").decode()


def there_and_back(value):
    return decode(decode_json(text_of(value)))


class ValueTest(unittest.TestCase):
    maxDiff = None

    def same(self, left, right, place="value"):
        """Equal, and of the same types all the way down."""
        self.assertIs(type(left), type(right), place)
        if isinstance(left, (list, tuple, collections.deque)):
            self.assertEqual(len(left), len(right), place)
            for at, (one, other) in enumerate(zip(left, right)):
                self.same(one, other, f"{place}[{at}]")
        elif isinstance(left, dict):
            self.same(list(left.items()), list(right.items()), f"{place}.items()")
        elif isinstance(left, (set, frozenset)):
            self.same(sorted(left, key=text_of), sorted(right, key=text_of), place)
        elif isinstance(left, float):
            self.assertEqual(float.hex(left), float.hex(right), place)
        elif isinstance(left, complex):
            self.same((left.real, left.imag), (right.real, right.imag), place)
        elif isinstance(left, (datetime.datetime, datetime.time)):
            self.assertEqual((left, left.isoformat(), left.fold), (right, right.isoformat(), right.fold), place)
            if BERLIN and isinstance(left.tzinfo, ZoneInfo):
                self.assertIs(left.tzinfo, right.tzinfo)
        elif isinstance(left, decimal.Decimal):
            self.assertEqual(left.as_tuple(), right.as_tuple(), place)
        elif hasattr(left, "__dict__") and not isinstance(left, enum.Enum):
            self.same(vars(left), vars(right), f"{place}.__dict__")
        else:
            self.assertEqual(left, right, place)

    def comes_back(self, *values):
        for value in values:
            with self.subTest(type=type(value)):
                self.same(there_and_back(value), value)

    def refused(self, value, *words):
        with self.assertRaises(NotKept) as caught:
            encode(value, WHERE)
        self.assertIsInstance(caught.exception, TypeError)
        message = str(caught.exception)
        self.assertTrue(message.startswith(WHERE), message)
        for word in words:
            self.assertIn(word, message)
        return message

    def not_brought_back(self, kept, *words):
        with self.assertRaises(NotKept) as caught:
            decode(kept, WHERE)
        for word in (WHERE, *words):
            self.assertIn(word, str(caught.exception))


class Kept(ValueTest):
    def test_what_json_has_stays_the_very_same_object(self):
        for value in (
            None, True, 0, -(2**63), 2**64 - 1, 1.5, -0.0, 5e-324, "", "ä\n𝄞\0", [], {},
            {"": [1, {"a$": [None, False]}]}, [[], {}, "$a", {"a": "$tuple"}],
        ):  # fmt: skip
            self.assertIs(encode(value, WHERE), value)
            self.assertIs(decode(value), value)
            self.comes_back(value)

    def test_only_what_has_to_is_copied(self):
        inner, value = [1], {"a": [2, (3,)]}
        outer = [inner, value]
        encoded = encode(outer, WHERE)
        self.assertIs(encoded[0], inner)
        self.assertEqual(encoded, [[1], {"a": [2, {"$tuple": [3]}]}])
        self.assertEqual(outer, [[1], {"a": [2, (3,)]}])
        self.assertEqual((decode(encoded), encoded), (outer, [[1], {"a": [2, {"$tuple": [3]}]}]))

    def test_the_forms(self):
        """Databases hold these: what is written once has to be read forever."""
        for value, form in (
            (b"\0\xff", '{"$bytes":"AP8="}'),
            (bytearray(b"a"), '{"$bytearray":"YQ=="}'),
            ((1, (2,)), '{"$tuple":[1,{"$tuple":[2]}]}'),
            ({3, 1, 2}, '{"$set":[1,2,3]}'),
            (frozenset("ba"), '{"$frozenset":["a","b"]}'),
            (2**64, '{"$int":"0x10000000000000000"}'),
            (-(2**63) - 1, '{"$int":"-0x8000000000000001"}'),
            (-math.inf, '{"$float":"-inf"}'),
            (1 - 2j, '{"$complex":[1.0,-2.0]}'),
            (range(1, 9, 2), '{"$range":[1,9,2]}'),
            ("\ud800\\ä\n", '{"$str":"\\\\ud800\\\\\\\\\\\\xe4\\\\n"}'),
            ({"$tuple": 1}, '{"$dict":[["$tuple",1]]}'),
            ({2: "b", "a": 1, None: 0}, '{"$dict":[[2,"b"],["a",1],[null,0]]}'),
            (datetime.datetime(2024, 2, 29, 1, 2, 3, 4), '{"$datetime":"2024-02-29T01:02:03.000004"}'),
            (datetime.datetime(2024, 2, 29, tzinfo=UTC), '{"$datetime":"2024-02-29T00:00:00+00:00"}'),
            (datetime.datetime(2024, 2, 29, fold=1), '{"$datetime":["2024-02-29T00:00:00",null,1]}'),
            (datetime.date(1, 2, 3), '{"$date":"0001-02-03"}'),
            (datetime.time(1, 2), '{"$time":"01:02:00"}'),
            (datetime.timedelta(-1, 2, 3), '{"$timedelta":[-1,2,3]}'),
            (decimal.Decimal("1.50"), '{"$decimal":"1.50"}'),
            (fractions.Fraction(-1, 3), '{"$fraction":[-1,3]}'),
            (uuid.UUID(int=1), '{"$uuid":"00000000-0000-0000-0000-000000000001"}'),
            (pathlib.Path("/a/b"), '{"$path":["Path","/a/b"]}'),
            (pathlib.PureWindowsPath("c:\\x"), '{"$path":["PureWindowsPath","c:\\\\x"]}'),
            (collections.OrderedDict(b=1, a=2), '{"$ordereddict":[["b",1],["a",2]]}'),
            (collections.deque([1], 2), '{"$deque":[[1],2]}'),
            (Color.CRIMSON, f'{{"$enum":["{__name__}:Color","RED"]}}'),
            (Access.READ | Access.RUN, f'{{"$enum":["{__name__}:Access",null,5]}}'),
            (Point(1), f'{{"$namedtuple":["{__name__}:Point",{{"x":1,"y":0}}]}}'),
            (Outer.Point(1), f'{{"$dataclass":["{__name__}:Outer.Point",{{"x":1}}]}}'),
        ):
            with self.subTest(form=form):
                self.assertEqual(text_of(value), form)
                self.same(decode(decode_json(form)), value)

    def test_numbers_and_texts_at_their_ends(self):
        self.comes_back(
            2**64, -(2**63) - 1, 10**5000, -(10**5000), math.inf, -math.inf, math.nan, 1.7976931348623157e308, -0.0,
            complex(math.nan, -math.inf), complex(-0.0, 0), range(0), range(10**30, 0, -(10**20)),
            "\ud800", "\udfff\ud800\udc00 \\ud800 \\ ' \" ä 𝄞 \0", {"\udc80": 1}, {"\ud800": {"\udfff": "\udead"}},
            b"", bytes(range(256)), bytearray(), fractions.Fraction(10**5000, 3),
            *map(decimal.Decimal, ("0", "-0", "0E-30", "1E+999999", "NaN", "-Infinity", "123456789" * 50)),
        )  # fmt: skip
        self.assertEqual(str(there_and_back(decimal.Decimal("sNaN12"))), "sNaN12")

    def test_dates_and_times(self):
        odd = datetime.timezone(datetime.timedelta(hours=-3, minutes=-30, seconds=-15, microseconds=-1))
        self.comes_back(
            datetime.datetime.min, datetime.datetime.max, datetime.date.min, datetime.date.max, datetime.timedelta.min,
            datetime.timedelta.max, datetime.time.min, datetime.time.max, datetime.time(3, fold=1, tzinfo=odd),
            datetime.datetime(2024, 1, 1, tzinfo=odd), datetime.datetime(2024, 1, 1, tzinfo=odd, fold=1),
        )  # fmt: skip
        self.assertIs(there_and_back(datetime.datetime.now(UTC)).tzinfo, UTC)

        class Zone(datetime.tzinfo):
            def utcoffset(self, moment):
                return datetime.timedelta(hours=2)

            def dst(self, moment):
                return None

        moment = datetime.datetime(2024, 1, 1, 12, tzinfo=Zone())
        back = there_and_back(moment)
        self.assertEqual(back, moment)
        self.assertEqual(back.tzinfo, datetime.timezone(datetime.timedelta(hours=2)))

        class Broken(Zone):
            def utcoffset(self, moment):
                raise ZeroDivisionError("no idea")

        self.refused([moment.replace(tzinfo=Broken())], "[0]", "Broken", "no idea")

    @unittest.skipUnless(BERLIN, "needs the time zone database")
    def test_zones(self):
        twice = datetime.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
        self.comes_back(twice, twice.replace(fold=1), datetime.time(1, tzinfo=BERLIN))
        self.assertEqual(text_of(twice), '{"$datetime":["2024-10-27T02:30:00","Europe/Berlin",0]}')
        self.assertEqual(there_and_back(twice.replace(fold=1)).utcoffset(), datetime.timedelta(hours=1))
        summer = there_and_back(datetime.datetime(2024, 3, 30, 12, tzinfo=BERLIN)) + datetime.timedelta(days=1)
        self.assertEqual(summer.utcoffset(), datetime.timedelta(hours=2))
        self.not_brought_back({"$datetime": ["2024-01-01T00:00:00", "Nowhere/Here", 0]}, "datetime", "Nowhere/Here")

    def test_containers(self):
        self.comes_back(
            (), ((),), set(), frozenset(), {frozenset({(1, "a"), 2.5})}, [({},)], {1, "1", None, 2.0, (), b""},
            {(1, 2): {"a": (3,)}}, {True: 1, "True": 2}, {1: {2: {3: ()}}}, {"$a": {"$b": {"$c": 1}}}, {"$": {}},
            {"a": 1, "$b": 2}, {"$tuple": [1], "x": (1,)}, {frozenset({1}): 1, b"k": 2, 1.5: 3, uuid.UUID(int=5): 4},
            collections.OrderedDict([((1,), (2,)), ("$x", {3})]), collections.deque([(1,), {2}]),
            pathlib.Path("a"), pathlib.PurePosixPath("/\udcff"), pathlib.PureWindowsPath("c:/"), pathlib.Path(),
        )  # fmt: skip

    def test_dicts_with_odd_keys_are_walked_once(self):
        value = 1
        for _ in range(90):
            value = {"a": value, 1: 2}
        self.same(there_and_back(value), value)

    def test_equal_sets_have_one_form(self):
        words = [f"w{n}" for n in range(50)]
        self.assertEqual(text_of(set(words)), text_of(set(reversed(words))))

    def test_enums(self):
        self.comes_back(
            *Color, *Level, Word.YES, *Access, *Bits, Outer.Inner.X, Access(0), Bits(0), Access.READ | Access.RUN,
            Bits.A | Bits.B, {Level.LOW: Word.YES}, {Color.RED}, [Bits(8)],
        )  # fmt: skip
        self.assertIs(there_and_back(Color.BLUE), Color.BLUE)
        self.assertIs(there_and_back(Level.HIGH), Level.HIGH)

    def test_dataclasses(self):
        slotted = Slotted(1, [(2,)])
        back = there_and_back(slotted)
        self.assertEqual((type(back), back.a, back.b), (Slotted, 1, [(2,)]))
        self.comes_back(
            Order("a", decimal.Decimal(1), {1}), Order("b", None, note=Order("c", 1, set(), Frozen(1, (2,)))),
            Child("a", 1, extra=b"x"), Frozen(1), {Frozen(1): Outer.Point(2)},
        )  # fmt: skip
        with self.assertRaises(FrozenInstanceError):
            there_and_back(Frozen(1)).x = 2

    def test_dataclasses_are_not_made_again(self):
        checked = Checked(4)
        self.assertFalse(checked.client.locked())  # computed, and not to be kept
        made.clear()
        back = there_and_back(checked)
        self.assertEqual(made, [])
        self.assertEqual((back.x, back.double, back.besides), (4, 8, (4,)))
        self.assertNotIn("client", vars(back))
        self.assertFalse(hasattr(back, "unset"))

    def test_named_tuples(self):
        self.comes_back(Point(1), Point(1, (2, Point(3))), Vector(1, [2], from_outside=True))

    def test_names_with_dots_in_brackets(self):
        """As pydantic gives the kinds of a generic model."""
        name = "Strange[a.b]"
        kind = make_dataclass(name, ["x"])
        kind.__module__ = __name__
        with mock.patch.dict(globals(), {name: kind}):
            self.comes_back(kind(1))

    def test_deep_but_bounded(self):
        value = leaf = []
        for _ in range(150):
            leaf.append([])
            leaf = leaf[0]
        self.same(there_and_back(value), value)
        for levels in (_values.DEPTH, _values.DEPTH + 1):
            value = []
            for _ in range(levels - 1):
                value = [value]
            if levels > _values.DEPTH:
                self.refused(value, f"deeper than {_values.DEPTH} levels")
            else:
                self.assertIs(encode(value, WHERE), value)
        for wrap in (lambda it: (it,), lambda it: {1: it}, lambda it: Frozen(1, it), lambda it: frozenset({it})):
            value = ()
            for _ in range(90):
                value = wrap(value)
            self.assertEqual(text_of(there_and_back(value)), text_of(value))


@unittest.skipUnless(pydantic, "needs pydantic")
class Pydantic(ValueTest):
    def test_models(self):
        item = Item(name="a", parts=[Special(name="b", at=datetime.datetime(2024, 1, 1, tzinfo=UTC))])
        item._secret = {1, 2}
        made.clear()
        back = there_and_back(item)
        self.assertEqual(made, [])
        self.assertEqual((back, back.name, back._secret), (item, "a!", {1, 2}))
        self.assertIs(type(back.parts[0]), Special)
        self.assertEqual(back.model_fields_set, {"name", "parts"})
        self.assertEqual(back.model_dump_json(), item.model_dump_json())
        back.name = "still a model"

    def test_kinds_of_models(self):
        opened = Open(a=1, more=(1, 2), **{"$ref": {3}})
        back = there_and_back(opened)
        self.assertEqual((back, back.more, back.model_extra), (opened, (1, 2), {"more": (1, 2), "$ref": {3}}))
        self.assertEqual(back.model_dump(by_alias=True), opened.model_dump(by_alias=True))
        names = there_and_back(Names({"x"}))
        self.assertEqual((names, vars(names)), (Names({"x"}), {"root": {"x"}}))
        self.assertEqual(there_and_back(NumberBox(content=1)), NumberBox(content=1))
        self.assertEqual(there_and_back(Measured(1)), Measured(1))
        special = Special(name="x", at=datetime.datetime.min)
        self.assertFalse(special.lock.locked())
        self.assertNotIn("lock", vars(there_and_back(special)))
        odd = Item.model_construct(name=(1,))  # what no validator has seen
        self.assertEqual(there_and_back(odd).name, (1,))

    def test_private_attributes_without_a_value(self):
        back = there_and_back(Hidden())
        self.assertEqual((back, back._set, hasattr(back, "_unset")), (Hidden(), 1, False))

    def test_refusals_name_the_place(self):
        item = Item(name="a")
        item._secret = threading.Lock()
        self.refused([item], WHERE + "[0]._secret", "lock")
        self.refused(Open(a=1, more=[Plain()]), WHERE + ".more[0]", "Plain")

        class Local(pydantic.BaseModel):
            x: int

        self.refused(Local(x=1), "Local", "top of its module")

    def test_changed_models(self):
        kept = encode(Item(name="a"), WHERE)
        name, parts = kept["$pydantic"]
        back = decode({"$pydantic": [name, {**parts, "fields": {"name": "a"}}]})
        self.assertEqual((back.price, back.parts), (0, []))
        self.assertIsNot(back.parts, Item.model_fields["parts"].default)
        self.not_brought_back({"$pydantic": [name, {**parts, "fields": {}}]}, "Item", "'name'")
        self.not_brought_back({"$pydantic": [name, {**parts, "fields": {"name": "a", "old": 1}}]}, "Item", "'old'")
        name, parts = encode(Hidden(), WHERE)["$pydantic"]
        self.not_brought_back({"$pydantic": [name, {**parts, "fields": {}}]}, "Hidden", "'lines'")
        self.not_brought_back({"$pydantic": [f"{__name__}:Order", parts]}, "Order", "no pydantic model")

    def test_version_1(self):
        if not old:
            self.skipTest("no pydantic.v1 here")
        item = OldItem(name="a", when=datetime.date(2024, 1, 1))
        item._secret = (1,)
        back = there_and_back(item)
        self.assertEqual((type(back), back, back._secret), (OldItem, item, (1,)))
        self.assertEqual(back.__fields_set__, {"name", "when"})
        kept = encode(item, WHERE)
        kept["$pydantic"][1]["fields"] = {"when": None}
        self.not_brought_back(kept, "OldItem", "'name'")


class NotKeptAtAll(ValueTest):
    def test_the_place_the_type_and_the_remedy(self):
        message = self.refused([0, 1, 2, {"x": Order("a", Plain())}], WHERE + "[3]['x'].price is", f"{__name__}.Plain")
        self.assertIn("dataclass", message)
        self.assertIn("durable=False", message)
        self.refused({"a": ({1: [Point(1, Plain())]},)}, WHERE + "['a'][0][1][0].y is of type")
        self.refused({"a": {Plain(): 1}}, WHERE + "['a'].keys()[0] is of type")
        self.refused([{1, frozenset({Sub("a")})}], WHERE + "[0]{…}{…} is of type")
        self.refused({b"k": Plain()}, WHERE + "[b'k'] is")
        self.refused(collections.OrderedDict({(1, 2): Plain()}), WHERE + "[tuple] is")
        self.refused(collections.deque([1, Plain()]), WHERE + "[1] is")
        odd = Checked(1)
        odd.connection = Plain()
        self.refused(odd, WHERE + ".connection is")
        self.refused({"x" * 5000: Plain()}, "x'] is")
        self.assertLess(len(self.refused({"x" * 5000: Plain()})), 400)

    def test_subclasses_would_come_back_as_less(self):
        class Number(int):
            pass

        class Real(float):
            pass

        class Listing(list):
            pass

        class Moment(datetime.datetime):
            pass

        class MyPath(type(pathlib.Path())):
            pass

        class MyDecimal(decimal.Decimal):
            pass

        Look_alike = type("date", (), {"__module__": "datetime"})
        for value, remedy in (
            (Look_alike(), "datetime.date"),
            (Sub("a"), "str(…)"), (Number(1), "int(…)"), (Real(1), "float(…)"), (Listing(), "list(…)"),
            (collections.defaultdict(list), "dict(…)"), (collections.Counter("a"), "dict(…)"),
            (os.stat("/"), "tuple(…)"), ({Sub("a"): 1}, "str(…)"), ([True, Sub("a")], "[1] is"),
            (Moment(2024, 1, 1), "Moment"), (MyPath("x"), "MyPath"), (MyDecimal(1), "MyDecimal"),
        ):  # fmt: skip
            self.refused(value, remedy)

    def test_what_is_no_value(self):
        async def later():
            return 1

        coroutine = later()
        self.addCleanup(coroutine.close)
        for value, *words in (
            (coroutine, "await it"), ((n for n in "a"), "list(…)"), (iter([1]), "list(…)"), ({1: 2}.keys(), "list(…)"),
            (memoryview(b"a"), "bytes(…)"), (later, "function"), (object(), "object"), (Order, "type"),
            (Color, "Enum"), (..., "ellipsis"), (sys, "module"),
            (threading.Lock(), "lock"), (ValueError("x"), "ValueError"), (Trouble(1), "Trouble"), (slice(1), "slice"),
            (types.MappingProxyType({}), "mappingproxy"), (UTC, "timezone"),
        ):  # fmt: skip
            self.refused(value, *words)

    def test_classes_that_no_later_attempt_would_find(self):
        @dataclass
        class Local:
            x: int

        class LocalColor(enum.Enum):
            RED = 1

        self.refused([Local(1)], "[0]", "Local", "inside a function", "top of its module")
        self.refused(LocalColor.RED, "inside a function")
        self.refused(Row(1), "NotItsName", "by that name")
        self.refused(make_dataclass("Made", ["x"])(1), "Made", "by that name")
        Replaced = make_dataclass("Order", ["name"])
        Replaced.__module__ = __name__
        self.refused(Replaced("a"), "Order", "by that name")
        Replaced.__module__ = "no.such.module"
        self.refused(Replaced("a"), "no.such.module")

    def test_values_with_more_or_less_than_their_class_says(self):
        value = Attributed(1)
        self.comes_back(value)
        value.more = 2
        self.refused(value, "Attributed", "more than its fields")
        order = Slotted(1, [])
        del order.b
        self.refused(order, "Slotted", "'b' has no value")

    def test_what_contains_itself_ends(self):
        endless = []
        endless += [endless, endless]
        self.refused(endless, "contains itself", "200")
        around = {}
        around[1] = (around, around)
        self.refused(around, "contains itself")
        order = Order("a", 1)
        order.note = [order]
        self.refused(order, "contains itself")
        deep = []
        for _ in range(100_000):
            deep = [deep]
        self.refused(deep, "nested deeper")
        digest((endless, around, deep), {"x": order})
        while deep:
            deep = deep.pop()

    def test_where_the_stack_is_almost_full(self):
        value = ()
        for _ in range(150):
            value = (value,)
        kept = encode(value, WHERE)

        def below(levels, work):
            return below(levels - 1, work) if levels else work()

        room = sys.getrecursionlimit()
        frame, used = sys._getframe(), 0
        while frame:
            frame, used = frame.f_back, used + 1
        for work in (lambda: encode(value, WHERE), lambda: decode(kept, WHERE)):
            with self.assertRaisesRegex(NotKept, "nested"):
                below(room - used - 60, work)


class NotBroughtBack(ValueTest):
    def test_classes_that_are_gone_or_others_now(self):
        here = __name__
        for kept, *words in (
            ({"$enum": [f"{here}:Gone", "A"]}, f"{here}", "Gone", "not to be found"),
            ({"$enum": ["no_such_module_here:Gone", "A"]}, "no_such_module_here", "not to be found"),
            ({"$enum": [f"{here}:Color", "GREEN"]}, f"{here}.Color", "no member 'GREEN'"),
            ({"$enum": [f"{here}:Order", "A"]}, "no enum"),
            ({"$enum": [f"{here}:Color", None, 1]}, "no enum"),
            ({"$enum": [f"{here}:os", "A"]}, "no enum"),
            ({"$dataclass": [f"{here}:Plain", {"x": 1}]}, "Plain", "no dataclass"),
            ({"$dataclass": ["os:system", {"x": 1}]}, "os.system", "no dataclass"),
            ({"$dataclass": [f"{here}:Frozen", {"x": 1, "old": 1}]}, "Frozen", "no field 'old'"),
            ({"$dataclass": [f"{here}:Frozen", {"y": 1}]}, "Frozen", "'x' that was not kept"),
            ({"$dataclass": [f"{here}:Order", {"name": 1, "price": 1}]}, "'tags' that was not kept"),
            ({"$dataclass": [f"{here}:Slotted", {"a": 1, "b": 1}, {"c": 1}]}, "dataclass", "AttributeError"),
            ({"$namedtuple": [f"{here}:Point", {"y": 1}]}, "Point", "'x'"),
            ({"$namedtuple": [f"{here}:Point", {"x": 1, "z": 1}]}, "Point", "no field 'z'"),
            ({"$namedtuple": ["builtins:tuple", {}]}, "no named tuple"),
            ({"$pydantic": [f"{here}:Order", {}]}, "no pydantic model"),
            ({"$pydantic": ["builtins:eval", {}]}, "no pydantic model"),
        ):
            with self.subTest(kept=kept):
                self.not_brought_back(kept, *words)

    def test_defaults_stand_in_for_new_fields(self):
        self.same(decode({"$dataclass": [f"{__name__}:Frozen", {"x": 1}]}), Frozen(1))
        self.same(decode({"$namedtuple": [f"{__name__}:Point", {"x": 1}]}), Point(1))

    def test_damage(self):
        self.not_brought_back([{"$future": 1}], "'$future'")
        for tag in (
            "uuid",
            "datetime",
            "bytes",
            "int",
            "path",
            "enum",
            "dataclass",
            "fraction",
            "deque",
            "set",
            "dict",
        ):
            for inside in (5, None, "x y", ["x"], [5], {"a": 1}, [["$"]]):
                if (tag, type(inside)) not in (
                    ("set", str),
                    ("set", list),
                    ("set", dict),
                    ("dict", dict),
                    ("bytes", str),
                ):
                    with self.subTest(tag=tag, inside=inside):
                        self.not_brought_back({f"${tag}": inside}, tag)
        self.not_brought_back({"$path": ["PosixPath", "x"]}, "path")


NASTY = "\ud800$ä\n\\\"'𝄞\0"


def anything(chance, depth, hashable=False):
    """A random value that can be kept."""
    text = "".join(chance.choice("ab$" + NASTY) for _ in range(chance.randrange(4)))
    number = chance.choice([0, 1, -1, 2**53, 2**64, -(2**70), chance.randrange(1000)])
    leaf = chance.choice([
        None, True, False, number, number, text, text, chance.uniform(-1, 1), math.inf, 1e300,
        text.encode("utf-8", "ignore"),
        decimal.Decimal(number) / 8, uuid.UUID(int=chance.getrandbits(128)), fractions.Fraction(number, 7),
        datetime.datetime(2024, 1, 1) + datetime.timedelta(chance.randrange(99), chance.randrange(99)),
        datetime.date(2024, 1, 1), datetime.timedelta(number % 1000), complex(1, number), pathlib.Path("a", "b"),
        Level.LOW, Color.BLUE, Word.YES, Access(chance.randrange(8)), range(number % 9),
    ])  # fmt: skip
    if not depth or chance.random() < 0.3:
        return leaf

    def some(hashable=hashable):
        return [anything(chance, depth - 1, hashable) for _ in range(chance.randrange(4))]

    kind = chance.randrange(4 if hashable else 11)
    if kind == 0:
        return tuple(some())
    if kind == 1:
        return frozenset(some(hashable=True))
    if kind == 2:
        return Frozen(anything(chance, depth - 1, hashable), tuple(some()))
    if kind == 3:
        return Point(*(some() + [0, 1])[:2])
    if kind == 4:
        return set(some(hashable=True))
    if kind in (5, 6):
        return {key if kind == 5 else str(key): anything(chance, depth - 1) for key in some(hashable=True)}
    if kind == 7:
        return collections.OrderedDict((key, 1) for key in some(hashable=True))
    if kind == 8:
        return collections.deque(some(), chance.choice([None, 10]))
    if kind == 9:
        return Order(text, number, set(some(hashable=True)), some())
    return some()


def shuffled(chance, value):
    """An equal value, made in another order."""
    if type(value) in (list, tuple):
        return type(value)(shuffled(chance, item) for item in value)
    if type(value) in (set, frozenset):
        items = list(value)
        chance.shuffle(items)
        return type(value)(items)
    if type(value) is dict:
        items = list(value.items())
        chance.shuffle(items)
        return {key: shuffled(chance, item) for key, item in items}
    return value


class Properties(ValueTest):
    def test_every_value_comes_back(self):
        chance = random.Random(5)
        for n in range(3000):
            value = anything(chance, 5)
            text = text_of(value)
            json.loads(text, parse_constant=lambda name: self.fail(f"{name} is not JSON"))
            text.encode()
            with self.subTest(n=n):
                back = decode(decode_json(text))
                self.same(back, value)
                self.assertEqual(text_of(back), text)

    def test_digests_tell_what_differs_and_nothing_else(self):
        chance = random.Random(6)
        seen = {}
        for _ in range(3000):
            value = anything(chance, 4)
            name = digest((value,), {})
            self.assertEqual(name, digest((shuffled(chance, there_and_back(value)),), {}))
            # What differs in its canonical form has another digest.
            form = _values._text(_values.encode_level(value, 200, False))
            self.assertEqual(seen.setdefault(name, form), form)
        self.assertGreater(len(set(seen)), 1000)
        self.assertEqual(len(set(seen.values())), len(seen))


class Digests(ValueTest):
    def test_what_is_told_apart(self):
        calls = [
            ((), {}), ((None,), {}), ((1,), {}), ((True,), {}), ((1.0,), {}), (("1",), {}), ((1, 2), {}),
            (([1, 2],), {}), (((1, 2),), {}), ((), {"a": 1}), (({"a": 1},), {}),
            ((), {"b": 1}), (({1: 2},), {}), (({"1": 2},), {}),
            ((b"a",), {}), (("a",), {}), ((Order("a", 1),), {}), ((Order("a", 2),), {}), ((Level.LOW,), {}),
            ((Plain(),), {}), ((Plain,), {}), ((print,), {}), (({"$opaque": f"{__name__}:Plain"},), {}),
            ((math.nan,), {}), (([Plain(), 1],), {}), (([Plain(), 2],), {}), ((), {"\ud800": 1}),
            (("\ud800",), {}), ((10**5000,), {}),
        ]  # fmt: skip
        names = [digest(*call) for call in calls]
        self.assertEqual(len(set(names)), len(calls))
        for name in names:
            self.assertRegex(name, "^[0-9a-f]{32}$")

    def test_what_is_equal(self):
        self.assertEqual(digest((), {"a": 1, "b": {"x": 1, 2: 3}}), digest((), {"b": {2: 3, "x": 1}, "a": 1}))
        pairs = [(1, 2), (3, 4)]
        one, other = collections.OrderedDict(pairs), collections.OrderedDict(reversed(pairs))
        self.assertNotEqual(digest((one,), {}), digest((other,), {}))
        self.assertEqual(digest((dict(one),), {}), digest((dict(other),), {}))
        self.assertEqual(digest((Plain(), len), {}), digest((Plain(), max), {}))
        self.assertEqual(digest(([{"k": Plain()}],), {}), digest(([{"k": Plain()}],), {}))

        @dataclass
        class Local:
            x: object

        self.assertEqual(digest((Local(1),), {}), digest((Local(1),), {}))
        self.assertNotEqual(digest((Local(1),), {}), digest((Local(2),), {}))

    def test_hostile_arguments_only_lose_their_detail(self):
        class Hostile:
            def __getattribute__(self, name):
                raise ZeroDivisionError

            def __repr__(self):
                raise ZeroDivisionError

            def __hash__(self):
                raise ZeroDivisionError

        @dataclass
        class Half:
            x: int

        half = Half(1)
        del half.x
        self.assertEqual(digest((Hostile(), half), {}), digest((Hostile(), half), {}))

    def test_it_is_the_same_in_every_process(self):
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from hero_tracing._values import digest\n"
            "class C: pass\n"
            "def f(): pass\n"
            "words = {'alpha', 'beta', 'gamma', 'delta', ('x', 1)}\n"
            "print(digest((words, frozenset(words), C(), f, {w: 1 for w in words}, 'ä', 2.5), {'k': words}))"
        )
        found = set()
        for seed in ("0", "1", "2"):
            run = subprocess.run(
                [sys.executable, "-c", code, str(SDK)],
                env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
            )  # fmt: skip
            found.add(run.stdout)
        self.assertEqual(len(found), 1)


class Cost(unittest.TestCase):
    def test_plain_results_load_nothing(self):
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "import hero_tracing; before = set(sys.modules)\n"
            "from hero_tracing._values import encode, digest\n"
            "encode([1, 'a', (2.5, {3}), {'x': None}], 'x'); digest((1, 'a'), {'k': (1,)})\n"
            "print(*(set(sys.modules) - before))"
        )
        run = subprocess.run([sys.executable, "-I", "-S", "-c", code, str(SDK)], capture_output=True, text=True)
        self.assertEqual((run.stderr, set(run.stdout.split()) - {"hero_tracing._values", "_blake2"}), ("", set()))

    def test_a_known_type_is_looked_at_once(self):
        encode(Frozen(1), WHERE)
        with mock.patch.object(_kinds, "find_writer", side_effect=AssertionError):
            encode(Frozen(2), WHERE)


class InPlays(PlayTest):
    def test_a_flows_own_classes_are_found_by_the_next_attempt(self):
        source = """
            import enum
            from dataclasses import dataclass
            from typing import NamedTuple
            from hero_tracing import flow
            from hero_tracing._values import decode, encode

            class Color(enum.Enum):
                RED = 1

            @dataclass(frozen=True)
            class Order:
                color: Color
                lines: tuple

            class Line(NamedTuple):
                text: str

            VALUE = Order(Color.RED, (Line("a"),))

            @flow
            def hello(kept=None):
                if kept is None:
                    return encode(VALUE, "it")
                value = decode(kept)
                return [value == VALUE, type(value) is Order, value.color is Color.RED]
        """
        first = self.succeed(source).output
        self.assertEqual(first["$dataclass"][0], "hello:Order")
        self.server.lines.clear()
        self.assertEqual(self.succeed(source, {"kept": first}, HERO_FLOW_ATTEMPT="2").output, [True, True, True])
        self.server.lines.clear()
        result = self.play(source.replace("Order", "Renamed"), {"kept": first}, HERO_FLOW_ATTEMPT="3")
        self.assertEqual(result.code, 1)
        self.assertIn("hello.Order is not to be found any more", json.dumps(result.root_end))


if __name__ == "__main__":
    unittest.main()
