"""Task families kept out of pre-training, after those of Sun et al. 2023 (2302.11521) and Lester et al. 2021 (2104.08691); none may use
a form, a template or a label of the pre-training documents."""

from foreword.synthetic.families import dart, logic2text, mtop, pairs, reading, spider, totto
from foreword.synthetic.families._family import Drawn, Family, Group, task

__all__ = ["FAMILIES", "Drawn", "Family", "Group", "task"]

FAMILIES = {
    family.name: family
    for family in (
        totto.FAMILY,
        dart.FAMILY,
        logic2text.FAMILY,
        spider.FAMILY,
        mtop.FAMILY,
        pairs.QQP,
        pairs.MRPC,
        reading.SQUAD,
        reading.NEWS,
    )
}
