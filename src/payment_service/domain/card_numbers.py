"""Card numbers have no place here: text that holds one is refused before it is stored.

Found is what a payment network would take: 13 to 19 digits, perhaps in groups, with a known first
part and the right check digit. Order numbers, times and bank accounts almost never look so.
Source: ISO/IEC 7812-1 (issuer numbers, Luhn); PCI DSS 4.0 requirement 3; NAPAS cards begin 9704.
"""

import re
import unicodedata

_CANDIDATE = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
_ISSUER = re.compile(
    r"4|5[1-5]|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)"  # Visa, Mastercard
    r"|3[47]|35(?:2[89]|[3-8][0-9])|3(?:0[0-5]|[68])"  # American Express, JCB, Diners
    r"|6(?:011|5|4[4-9])|62|9704"  # Discover, UnionPay, NAPAS
)
_DIGIT_MAX = 9


def contains_card_number(text: str) -> bool:
    """Tell whether a text holds what looks like a card number, in whatever digits."""
    plain = unicodedata.normalize("NFKC", text)
    for candidate in _CANDIDATE.findall(plain):
        digits = candidate.replace(" ", "").replace("-", "")
        if _ISSUER.match(digits) and _has_check_digit(digits):
            return True
    return False


def _has_check_digit(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - _DIGIT_MAX if value > _DIGIT_MAX else value
    return total % 10 == 0
