"""One pass over the events of each record, compiled: the sums of slices of them, and the measures made of these."""

# Numba has no types.
# pyright: basic

import numpy as np
from numba import njit

ANY = -1  # in place of a column, a name or a quarter of the day

compiled = njit(nogil=True, cache=True, error_model="numpy")

# The sums of a slice.
_COUNT, _SUM, _SHIFTED, _SQUARES, _LEAST, _MOST, _NEWEST, _YOUNGEST, _OLDEST, _AGES, _AGE_SQUARES, _PRODUCTS = range(12)
_SUMS = 12
_ALONE, _SHARE, _SUMMED, _AVERAGE, _SMALLEST, _LARGEST, _DEVIATION, _LAST, _CHANGE, _SLOPE = range(10)
_SINCE_LAST, _SINCE_FIRST, _MEAN_SINCE, _MEAN_GAP, _OVERDUE = range(10, 15)


@compiled
def measure_slices(starts, age, part, codes, values, among, name, quarter, value, days, specs, found):
    """Fill in the measures (A, N) of the records' slices; `specs` (A, 3) are a measure, its slice, and a wider one."""
    sums = np.empty((len(days), _SUMS))
    for record in range(len(starts) - 1):
        first, end = starts[record], starts[record + 1]
        for one in range(len(days)):
            _sum_up(
                sums[one],
                first,
                end,
                age,
                part,
                codes,
                values,
                among[one],
                name[one],
                quarter[one],
                value[one],
                days[one],
            )
        for one in range(len(specs)):
            found[one, record] = _measure(specs[one, 0], sums[specs[one, 1]], sums[specs[one, 2]])


@compiled
def _sum_up(sums, first, end, age, part, codes, values, among, name, quarter, value, days):
    """Fill in the sums of one slice of one record's events, from the newest to the oldest.

    Squares are summed about the newest value, so that nothing cancels where values are large and alike.
    """
    count, total, shifted, squares = 0.0, 0.0, 0.0, 0.0
    least, most, newest, youngest, oldest = np.inf, -np.inf, np.nan, np.nan, np.nan
    ages, age_squares, products = 0.0, 0.0, 0.0
    for event in range(end - 1, first - 1, -1):
        since = age[event]
        if since > days:
            break
        if among >= 0 and codes[among, event] != name:
            continue
        if quarter >= 0 and part[event] != quarter:
            continue
        if value >= 0:
            number = values[value, event]
            if np.isnan(number):
                continue
            if count == 0:
                newest = number
            total += number
            step = number - newest
            shifted += step
            squares += step * step
            least, most = min(least, number), max(most, number)
            age_squares += since * since
            products += since * step
        if count == 0:
            youngest = since
        count += 1
        oldest = since
        ages += since
    sums[_COUNT], sums[_SUM], sums[_NEWEST], sums[_SHIFTED], sums[_SQUARES] = count, total, newest, shifted, squares
    sums[_LEAST], sums[_MOST], sums[_YOUNGEST], sums[_OLDEST] = least, most, youngest, oldest
    sums[_AGES], sums[_AGE_SQUARES], sums[_PRODUCTS] = ages, age_squares, products


@compiled
def _measure(measure, own, wide):
    """Return one measure of a slice; `wide` is the slice that it is compared with."""
    count = own[_COUNT]
    if measure == _ALONE:
        return count
    if measure == _SUMMED:
        return own[_SUM]
    if measure == _SHARE:
        return count / wide[_COUNT] if wide[_COUNT] > 0 else np.nan
    if count == 0:
        return np.nan
    if measure == _AVERAGE:
        return _mean(own)
    if measure == _SMALLEST:
        return own[_LEAST]
    if measure == _LARGEST:
        return own[_MOST]
    if measure == _DEVIATION:
        return np.sqrt(max(0.0, own[_SQUARES] / count - (own[_SHIFTED] / count) ** 2))
    if measure == _LAST:
        return own[_NEWEST]
    if measure == _CHANGE:
        return _mean(own) - _mean(wide)
    if measure == _SINCE_LAST:
        return own[_YOUNGEST]
    if measure == _SINCE_FIRST:
        return own[_OLDEST]
    if measure == _MEAN_SINCE:
        return own[_AGES] / count
    if count < 2:
        return np.nan
    if measure == _SLOPE:
        spread = own[_AGE_SQUARES] - own[_AGES] * own[_AGES] / count
        return -(own[_PRODUCTS] - own[_AGES] * own[_SHIFTED] / count) / spread if spread > 1e-9 else np.nan
    gap = (own[_OLDEST] - own[_YOUNGEST]) / (count - 1)
    if measure == _MEAN_GAP:
        return gap
    return own[_YOUNGEST] / gap if gap > 1e-9 else np.nan


@compiled
def _mean(sums):
    return sums[_NEWEST] + sums[_SHIFTED] / sums[_COUNT]


@compiled
def count_followed(starts, age, part, codes, name, then, quarter, days, found):
    """Count the events `then`, of this quarter of the day, that come within a day after one of `name`."""
    for record in range(len(starts) - 1):
        count, before = 0, np.nan
        for event in range(starts[record], starts[record + 1]):
            is_one = codes[event] == then and (quarter < 0 or part[event] == quarter) and age[event] <= days
            if is_one and before - age[event] <= 1.0:
                count += 1
            if codes[event] == name:
                before = age[event]
        found[record] = count


@compiled
def fill_token_numbers(starts, kept, age, clock, types, tracked, values, out):
    """Fill in the numbers of the tokens (T, F) of each record's newest events; older ones are seen by what follows."""
    last = np.empty(tracked)
    for record in range(len(starts) - 1):
        last[:] = np.nan
        first = starts[record + 1] - (kept[record + 1] - kept[record])
        for event in range(starts[record], starts[record + 1]):
            if event >= first:
                row = out[kept[record] + event - first]
                row[0] = age[event]
                row[1] = age[event - 1] - age[event] if event > starts[record] else np.nan
                row[2] = 24 * (clock[event] - np.floor(clock[event]))
                for value in range(len(values)):
                    row[3 + value] = values[value, event]
                for one in range(tracked):
                    row[3 + len(values) + one] = last[one] - age[event]
            if 0 <= types[event] < tracked:
                last[types[event]] = age[event]


@compiled
def count_repeats(starts, age, ahead, codes, bits, counts):
    """Add to `counts` (3, D), by age in days of which the last is open: events, different ones, odd ones.

    The same are those of one record with equal age, `codes` (K, E) and `bits` (V, E); odd ones stand an odd number of
    times. Ages count from `ahead` (N) days before the moment.
    """
    last = counts.shape[1] - 1
    for record in range(len(starts) - 1):
        event, end = starts[record], starts[record + 1]
        while event < end:
            stop = event + 1
            while stop < end and age[stop] == age[event]:
                stop += 1
            day = min(last, int(max(0.0, age[event] - ahead[record] + 1e-9)))  # 1e-9: what the quotients are rounded by
            distinct, odd = _count_different(event, stop, codes, bits) if stop - event > 1 else (1, 1)
            counts[0, day] += stop - event
            counts[1, day] += distinct
            counts[2, day] += odd
            event = stop


@compiled
def _count_different(first, stop, codes, bits):
    """Return how many different events there are from `first` to `stop`, and how many an odd number of times."""
    marks = np.empty(stop - first, np.uint64)
    for event in range(first, stop):
        mark = np.uint64(14695981039346656037)  # FNV-1a, over whole numbers
        for column in range(codes.shape[0]):
            mark = (mark ^ np.uint64(np.int64(codes[column, event]))) * np.uint64(1099511628211)
        for column in range(bits.shape[0]):
            mark = (mark ^ np.uint64(bits[column, event])) * np.uint64(1099511628211)
            mark ^= mark >> np.uint64(32)  # the product keeps nothing of the upper bits in the lower ones
        marks[event - first] = mark
    marks.sort()
    distinct, odd, begin = 0, 0, 0
    for place in range(1, len(marks) + 1):
        if place == len(marks) or marks[place] != marks[begin]:
            distinct += 1
            odd += (place - begin) % 2
            begin = place
    return distinct, odd
