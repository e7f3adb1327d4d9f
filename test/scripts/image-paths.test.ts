import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outputNames } from '../../scripts/run/image-paths.js'

describe('outputNames', () => {
  it.each<[string[], string[]]>([
    [
      ['d/a.jpg', 'd/b.png'],
      ['a', 'b'],
    ],
    [
      ['cat/0.png', 'dog/0.png', 'dog/1.png'],
      ['cat-0', 'dog-0', '1'],
    ],
    [
      ['d/a.gif', 'd/a.png'],
      ['d-a-gif', 'd-a-png'],
    ],
    [
      ['x/cat/0.png', 'y/cat/0.png'],
      ['x-cat-0-png', 'y-cat-0-png'],
    ],
    // The name that is made may be one that is there.
    [
      ['cat/0.png', 'dog/0.png', 'x/cat-0.png'],
      ['cat-0-png', 'dog-0', 'x-cat-0'],
    ],
    // Disks may take these for the same.
    [
      ['a/X.png', 'b/x.png'],
      ['a-X', 'b-x'],
    ],
    [
      ['a/caf\u00e9.png', 'b/cafe\u0301.png'],
      ['a-caf\u00e9', 'b-cafe\u0301'],
    ],
    [
      ['d/index.png', 'd/Experts.jpg'],
      ['d-index', 'd-Experts'],
    ],
    [
      ['/d/a.png', '/d/a.png'],
      ['d-a-png', 'd-a-png-2'],
    ],
  ])('names %j %j', (paths, names) => {
    expect(outputNames(paths, ['index', 'experts'])).toEqual(names)
  })

  it('gives every image a name of its own', () => {
    const part = fc.constantFrom('a', 'A', 'b', 'a-b', 'b-a', 'index', 'a-png', '2')
    const path = fc
      .tuple(fc.array(part, { minLength: 1, maxLength: 3 }), fc.constantFrom('.png', '.gif', ''))
      .map(([parts, ending]) => `/${parts.join('/')}${ending}`)
    fc.assert(
      fc.property(fc.array(path, { maxLength: 12 }), paths => {
        const names = outputNames(paths, ['index']).map(name => name.toLowerCase())
        expect(new Set(names).size).toBe(paths.length)
        expect(names).not.toContain('index')
      }),
    )
  })
})
