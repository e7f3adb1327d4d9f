import { describe, expect, test } from 'vitest'
import { samePadding } from '../../../src/export/graph/graph.js'
import { floats, GraphBuilder } from '../../../src/export/graph/graph-builder.js'
import { layerLowerings } from '../../../src/export/graph/layer-lowerings.js'
import type { ExportedLayer } from '../../../src/export/graph/lowering.js'

function builder(): GraphBuilder {
  const build = new GraphBuilder()
  build.layer = 'here'
  return build
}

describe('GraphBuilder', () => {
  test('knows the shapes of what it adds', () => {
    const build = builder()
    const x = build.input('x', [null, 7, 6, 3], 'float')
    const kernel = floats(new Float32Array(3 * 2 * 3 * 4), [3, 2, 3, 4])
    // Rows ceil((7 - 3 + 1) / 2) = 3, columns ceil((6 - 2 + 1) / 2) = 3; 'same' ceil(7 / 2) and ceil(6 / 2).
    expect(build.convolution(x, kernel, { strides: [2, 2] }).shape).toEqual([null, 3, 3, 4])
    expect(build.convolution(x, kernel, { strides: [2, 2], padding: 'same' }).shape).toEqual([null, 4, 3, 4])
    expect(build.convolution(x, kernel, { depthwise: true }).shape).toEqual([null, 5, 5, 12])
    expect(build.binary('add', x, floats([1, 2, 3], [3])).shape).toEqual([null, 7, 6, 3])
    expect(build.reduce(x, 'mean', [1, 2]).shape).toEqual([null, 3])
  })

  test('gives every value a name of its own', () => {
    const build = builder()
    const x = build.input('here', [null, 2], 'float')
    const names = [x, build.unary(x, 'relu'), build.unary(x, 'relu'), build.clip(x, 0, 6)].map(
      ({ name }) => name,
    )
    expect(new Set(names).size).toBe(4)
  })

  test('says where a size is not fixed', () => {
    const build = builder()
    const free = build.input('x', [null, null, 6, 3], 'float')
    expect(() => build.pool(free, 'max', [2, 2], { strides: [2, 2], padding: 'valid' })).toThrow(
      'exportGraph: the map at here must have a fixed size, got any',
    )
    const flat = build.input('flat', [null, 6], 'float')
    expect(() => build.resize(flat, [2, 2], 'nearest')).toThrow('must have a fixed size, got none')
    expect(() => build.reshape(free, [null, null, 18])).toThrow(
      'exportGraph: the shapes at here must be fixed but for the batch, got [, , 18]',
    )
  })
})

test("'same' pads the end more where the sum is odd", () => {
  // 7 in steps of 2 by 3: 4 outputs reach over 9. 8 likewise, also 9: 1 to pad. 5 by 2 in steps of 3: none.
  expect(samePadding(7, 3, 2, 1)).toEqual([1, 1])
  expect(samePadding(8, 3, 2, 1)).toEqual([0, 1])
  expect(samePadding(5, 2, 3, 1)).toEqual([0, 0])
  expect(samePadding(4, 3, 1, 2)).toEqual([2, 2])
})

describe('a layer is refused that says', () => {
  const refused = (className: string, config: Readonly<Record<string, unknown>>): string => {
    const build = builder()
    const x = build.input('x', [null, 4, 4, 2], 'float')
    const refuse = (got: string): never => {
      throw new Error(got)
    }
    const layer = {
      config,
      refuse,
      weight: () => floats([1, 2], [1, 1, 2, 1]),
      optionalWeight: () => undefined,
    }
    try {
      layerLowerings[className]?.(layer as unknown as ExportedLayer, [x], build)
      return 'nothing'
    } catch (error) {
      return (error as Error).message
    }
  }

  test('an activation or a padding that nobody knows', () => {
    expect(refused('Conv2D', { padding: 'causal' })).toBe('padding "causal"')
    expect(refused('Conv2D', { activation: 'square' })).toBe('activation "square"')
    expect(refused('Activation', { activation: 'toString' })).toBe('activation "toString"')
    expect(refused('Activation', { activation: 'relu' })).toBe('nothing')
  })
})
