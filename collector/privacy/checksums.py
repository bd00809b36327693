"""Numbers that carry check digits: payment cards and bank accounts."""

import re
from collections.abc import Iterator

CARD_DIGITS_MIN, CARD_DIGITS_MAX = 13, 19
# The first digits of the networks: Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay, Maestro, Mir,
# RuPay, Troy.
_NETWORKS = re.compile(
    rb"4|5[0-8]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|3[47]|30[0-59]|3[689]|35(?:2[89]|[3-8])|6|220[0-4]|81[0-7]|82|9792"
)
_GROUP_DIGITS = 4
_GROUPS_MAX = 5
_FIRST_GROUP_DIGITS = (_GROUP_DIGITS, *range(CARD_DIGITS_MIN, CARD_DIGITS_MAX + 1))
_NO_DIGITS = re.compile(rb"[^0-9]")
_LUHN_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_IBAN_LENGTHS = {
    code: int(length)
    for length, codes in (
        line.split(":")
        for line in (
            "15:NO",
            "16:BE",
            "18:DK FO FI GL NL SD",
            "19:MK SI",
            "20:AT BA EE KZ LT LU XK",
            "21:CH CR HR LI LV",
            "22:BG BH DE GB GE IE ME RS VA",
            "23:AE GI IL IQ OM SO TL",
            "24:AD CZ ES MD PK RO SA SE SK TN VG",
            "25:LY PT ST",
            "26:IS TR",
            "27:BI DJ FR GR IT MC MR SM",
            "28:AL AZ BY CY DO GT HU LB NI PL SV",
            "29:BR EG PS QA UA",
            "30:JO KW MU",
            "31:MT SC",
            "32:LC",
            "33:RU",
        )
    )
    for code in codes.split()
}


def payment_cards(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the places of card numbers in a run of digits and separators; one begins and ends where a group does."""
    run = text[start:end]
    groups = [found.span() for found in re.finditer(rb"[0-9]+", run)]
    first = 0
    while first < len(groups):
        last = _last_group_of_card(run, groups, first)
        if last is not None and _stands_alone(text, start + groups[first][0], start + groups[last][1]):
            yield start + groups[first][0], start + groups[last][1]
            first = last
        first += 1


def _last_group_of_card(run: bytes, groups: list[tuple[int, int]], first: int) -> int | None:
    longest = None
    start, first_end = groups[first]
    if first_end - start not in _FIRST_GROUP_DIGITS:
        return None
    separator = None
    for last in range(first, min(first + _GROUPS_MAX, len(groups))):
        if last > first:
            between = run[groups[last - 1][1] : groups[last][0]]
            # Cards are written with one kind of separator, and in fours or as 4-6-5.
            if separator not in (None, between) or first_end - start != _GROUP_DIGITS:
                break
            separator = between
        digits = _NO_DIGITS.sub(b"", run[start : groups[last][1]])
        if len(digits) > CARD_DIGITS_MAX:
            break
        if len(digits) >= CARD_DIGITS_MIN and _NETWORKS.match(digits) and is_luhn(digits):
            longest = last
    return longest


def _stands_alone(text: bytes, start: int, end: int) -> bool:
    """Return whether it is neither a part of a word nor, as the decimals of 0.4111111111111111, of a number."""
    if text[start - 1 : start].isalpha() or text[end : end + 1].isalpha():
        return False
    is_decimal = text[start - 1 : start] == b"." and text[start - 2 : start - 1].isdigit()
    has_decimals = text[end : end + 1] == b"." and text[end + 1 : end + 2].isdigit()
    return b"." in text[start:end] or not (is_decimal or has_decimals)


def is_luhn(digits: bytes) -> bool:
    """Return whether the last of the digits is Luhn's check digit of the others, and not all are alike."""
    values = [byte - 48 for byte in reversed(digits)]
    total = sum(values[::2]) + sum(_LUHN_DOUBLED[value] for value in values[1::2])
    return total % 10 == 0 and len(set(values)) > 1


def is_iban(text: bytes) -> bool:
    """Return whether a text, spaces apart, is an IBAN of a country that has them."""
    compact = text.replace(b" ", b"").decode()
    if len(compact) != _IBAN_LENGTHS.get(compact[:2]):
        return False
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1
