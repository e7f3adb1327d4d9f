import { describe, expect, test } from 'vitest'
import { foreignPrefix, withoutPrefix } from '../../../src/export/weights/name-prefix.js'

const known = (...names: string[]) => {
  const set = new Set(names)
  return (name: string) => set.has(name)
}

describe('foreignPrefix', () => {
  test.each([
    ['none', ['a.weight', 'b.weight'], ''],
    ['of one wrapper', ['module.a.weight', 'module.b.weight'], 'module.'],
    ['of several wrappers', ['net._orig_mod.a.weight', 'net._orig_mod.b.weight'], 'net._orig_mod.'],
    ['of a nested model', ['trunk/a.weight', 'trunk/b.weight'], 'trunk/'],
    ['of some', ['b.weight', 'backbone.a.weight'], 'backbone.'],
    ['none where one stays unknown', ['module.a.weight', 'module.c.weight'], ''],
    ['none where two would be one', ['module.a.weight', 'a.weight'], ''],
    ['none where wrappers differ', ['x.a.weight', 'y.b.weight'], ''],
  ])('%s', (_, names, prefix) => {
    expect(foreignPrefix(names, known('a.weight', 'b.weight'))).toBe(prefix)
  })

  test('is the shortest that explains all', () => {
    expect(foreignPrefix(['m.m.a'], known('m.a', 'a'))).toBe('m.')
    expect(withoutPrefix('m.m.a', 'm.')).toBe('m.a')
    expect(withoutPrefix('n.a', 'm.')).toBe('n.a')
  })
})
