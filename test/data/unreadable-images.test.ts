import { describe, expect, it } from 'vitest'
import { UnreadableImages, type UnreadableLimit } from '../../src/data/unreadable-images.js'

describe('UnreadableImages', () => {
  it.each<[UnreadableLimit | undefined, number, number]>([
    [undefined, 20, 1],
    [undefined, 199, 1],
    [undefined, 200, 2],
    [undefined, 50_000, 500],
    ['10%', 95, 9],
    ['0.5%', 1000, 5],
    ['0%', 1000, 0],
    ['100%', 7, 7],
    [0, 7, 0],
    [12, 7, 12],
  ])('allows, at a limit of %s, of %i images %i', (limit, total, allowed) => {
    expect(new UnreadableImages('test', total, limit).allowed).toBe(allowed)
  })

  it.each([-1, 1.5, Number.NaN, '101%', '-1%', '1', 'some%'])('refuses a limit of %s', limit => {
    expect(() => new UnreadableImages('test', 10, limit as UnreadableLimit)).toThrow(
      new RangeError(
        `test: maxUnreadable must be an integer of at least 0 or a percentage up to 100%, got ${limit}`,
      ),
    )
  })

  it('names the first five of too many', () => {
    const images = new UnreadableImages('test', 50, '12%')
    for (let i = 0; i < 6; i++) images.add(`${i}.jpg`, new Error(i === 0 ? '0.jpg: bad' : 'bad'))
    expect(() => images.check()).not.toThrow()
    images.add('6.jpg', 'no image')
    expect(() => images.check()).toThrow(
      new Error(
        'test: unreadable images must be at most 6 (12%, maxUnreadable or --max-unreadable), got 7 of 50:\n' +
          '  0.jpg: bad\n  1.jpg: bad\n  2.jpg: bad\n  3.jpg: bad\n  4.jpg: bad\n  and 2 more',
      ),
    )
  })
})
