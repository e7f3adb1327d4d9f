import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { type CellGrid, cellGrid, cutPatches, patchBoxes, viewOf } from '../../src/layers/moe/cells.js'
import { type PatchExperts, patchExperts } from '../../src/layers/moe/patch-experts.js'
import type { PatchExpertsOptions } from '../../src/layers/moe/patch-experts-options.js'
import { namedPrior, registerPrior } from '../../src/layers/moe/priors.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { drawTensor } from './random-tensors.js'

beforeAll(() => useTestBackend())

const IMAGE = [21, 26, 2] as const
const OUTPUTS = 3

/** A convolution and the mean over its map; smooth, so that differences have no kinks. */
function expert(patchShape: readonly number[], k: number): tf.LayersModel {
  const seeded = tf.initializers.glorotNormal({ seed: 7 + k })
  return tf.sequential({
    layers: [
      tf.layers.conv2d({
        inputShape: [...patchShape],
        filters: OUTPUTS,
        kernelSize: 3,
        strides: 2,
        activation: 'tanh',
        kernelInitializer: seeded,
      }),
      tf.layers.globalAveragePooling2d({}),
    ],
  })
}

/** Scores that are weights: the bias of a dense layer that sees nothing. */
function freeScores(viewShape: readonly number[], numExperts: number): tf.LayersModel {
  const cells = [(viewShape[0] as number) / 2, (viewShape[1] as number) / 2]
  const count = (cells[0] as number) * (cells[1] as number) * numExperts
  return tf.sequential({
    layers: [
      tf.layers.flatten({ inputShape: [...viewShape] }),
      tf.layers.dense({ units: count, kernelInitializer: 'zeros', trainable: false, name: 'fixed' }),
      tf.layers.reshape({ targetShape: [...(cells as [number, number]), numExperts] }),
    ],
  })
}

const base: PatchExpertsOptions = {
  cellSize: 4,
  margin: 1,
  viewScale: 2,
  patchesPerExpert: 3,
  expert,
  seed: 1,
}

function built(options: Partial<PatchExpertsOptions> = {}, image: readonly number[] = IMAGE) {
  const layer = patchExperts({ ...base, ...options })
  const input = tf.input({ shape: [...image] })
  const model = tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor })
  return { layer, model }
}

/** Images of [0, 1]. */
function images(count: number, seed: number, image: readonly number[] = IMAGE): tf.Tensor4D {
  return tf.sigmoid(drawTensor<tf.Tensor4D>([count, ...image], seed))
}

/** The view of images, the patches that are kept of them, and which these are. */
function cutForm(layer: PatchExperts, x: tf.Tensor4D): tf.Tensor[] {
  const view = layer.viewOf(x)
  const { indices } = layer.route(view)
  const [batch, experts, kept] = indices.shape
  const patches = cutPatches(x, tf.reshape(indices, [batch, experts * kept]), layer.grid)
  return [view, tf.reshape(patches, [batch, experts, kept, ...layer.patchShape]), indices]
}

/** The pixels of a box, 0 outside, as nested loops read them. */
function pixelsOf(image: number[][][], [top, left, height, width]: readonly number[]): number[][][] {
  const channels = image[0]?.[0]?.length ?? 0
  return Array.from({ length: height as number }, (_, i) =>
    Array.from({ length: width as number }, (_, j) => {
      const pixel = image[(top as number) + i]?.[(left as number) + j]
      return pixel ?? new Array<number>(channels).fill(0)
    }),
  )
}

function contrastOf(view: tf.Tensor4D, grid: CellGrid): tf.Tensor {
  const contrast = namedPrior('contrast')
  if (!contrast) throw new Error('there must be a prior of contrast')
  return contrast(view, grid)
}

describe('cells of an image', () => {
  it.each([
    { image: [21, 26], cell: [4, 4], margin: 1 },
    { image: [16, 16], cell: [8, 4], margin: 2 },
    { image: [13, 9], cell: [4, 4], margin: 0 },
    { image: [6, 10], cell: [2, 4], margin: 1 },
  ] as const)('are cut out pixel by pixel, with zeros outside: %o', ({ image, cell, margin }) => {
    const grid = cellGrid(image, { cell, margin, viewScale: 1 }, 'test')
    const channels = 2
    // Every pixel is another integer, so that one pixel beside the right one shows.
    const numbers = tf.range(1, image[0] * image[1] * channels * 2 + 1)
    const x = tf.reshape(numbers, [2, ...image, channels]) as tf.Tensor4D
    const order = Array.from({ length: grid.count }, (_, n) => (n * 7 + 3) % grid.count)
    const indices = tf.tensor2d([order, [...order].reverse()], [2, grid.count], 'int32')
    const cut = cutPatches(x, indices, grid).arraySync()
    const boxes = patchBoxes(grid)
    const expected = x
      .arraySync()
      .flatMap((pixels, b) =>
        (indices.arraySync()[b] as number[]).map(n =>
          pixelsOf(pixels, [...boxes.subarray(4 * n, 4 * n + 4)]),
        ),
      )
    expect(cut).toEqual(expected)
  })

  it('are counted row by row, the last ones past the image', () => {
    const grid = cellGrid([10, 17], { cell: [4, 8], margin: 2, viewScale: 2 }, 'test')
    expect(grid).toMatchObject({ cells: [3, 3], count: 9, patch: [8, 12] })
    const boxes = [...patchBoxes(grid)]
    expect(boxes.slice(0, 8)).toEqual([-2, -2, 8, 12, -2, 6, 8, 12])
    expect(boxes.slice(-4)).toEqual([6, 14, 8, 12])
  })

  it('have a view of block means, at the edges of what the blocks have', () => {
    const x = images(2, 5, [5, 7, 2])
    const pixels = x.arraySync()
    const expected = pixels.map(image =>
      [0, 1].map(row =>
        [0, 1].map(column =>
          [0, 1].map(channel => {
            const inside = image
              .slice(4 * row, 4 * row + 4)
              .flatMap(line => line.slice(4 * column, 4 * column + 4).map(pixel => pixel[channel] as number))
            return inside.reduce((sum, value) => sum + value, 0) / inside.length
          }),
        ),
      ),
    )
    expectAllClose(viewOf(x, 4).arraySync(), expected, 0, 1e-6)
  })

  it('have the contrast of the pixels that their windows have inside the view', () => {
    const grid = cellGrid([18, 24], { cell: [8, 8], margin: 4, viewScale: 2 }, 'test')
    const view = images(1, 6, [9, 12, 2])
    const pixels = view.arraySync()[0] as number[][][]
    const expected = [0, 1, 2].map(row =>
      [0, 1, 2].map(column => {
        const rows = pixels.slice(Math.max(0, 4 * row - 2), 4 * row + 6)
        const window = rows.flatMap(line => line.slice(Math.max(0, 4 * column - 2), 4 * column + 6))
        const variances = [0, 1].map(channel => {
          const values = window.map(pixel => pixel[channel] as number)
          const mean = values.reduce((sum, value) => sum + value, 0) / values.length
          return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
        })
        return Math.sqrt(((variances[0] as number) + (variances[1] as number)) / 2)
      }),
    )
    expectAllClose(contrastOf(view, grid).arraySync() as never, [expected], 0, 1e-4)
  })
})

/** What a layer must return: its networks applied one after the other, everything else in loops. */
function bruteForce(layer: PatchExperts, x: tf.Tensor4D): number[][] {
  const { numExperts, patchesPerExpert, grid } = layer
  const { gate, aggregate, prior } = layer.options
  const view = layer.viewOf(x)
  const [rows, columns] = [grid.cells[0] * 2, grid.cells[1] * 2]
  const whole = tf.pad(view, [
    [0, 0],
    [0, rows - (view.shape[1] as number)],
    [0, columns - (view.shape[2] as number)],
    [0, 0],
  ])
  const network = (name: string) => layer.networks.get(name) as tf.LayersModel
  const scores = (network('router').predict(whole) as tf.Tensor4D).arraySync()
  const contrast = prior === 'none' ? undefined : (contrastOf(view, grid).arraySync() as number[][][])
  const boxes = patchBoxes(grid)
  return x.arraySync().map((image, b) => {
    const outputs = Array.from({ length: numExperts }, (_, k) => {
      const raw = (scores[b] as number[][][]).flat().map(cell => cell[k] as number)
      const values = contrast?.[b]?.flat() ?? raw.map(() => 0)
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
      const g = raw.map((score, n) => score + ((values[n] as number) - mean) / (deviation + 1e-3))
      const order = [...g.keys()].sort((i, j) => (g[j] as number) - (g[i] as number) || i - j)
      const kept = order.slice(0, patchesPerExpert)
      const patches = tf.tensor4d(kept.map(n => pixelsOf(image, [...boxes.subarray(4 * n, 4 * n + 4)])))
      const name = layer.options.shareExpert ? 'expert' : `expert_${k}`
      const features = network(name).predict(patches) as tf.Tensor2D
      const attention = network('attention')
      const logits = attention
        ? [...(attention.predict(features) as tf.Tensor).dataSync()]
        : kept.map(() => 0)
      const exponents = kept.map((n, i) => Math.exp((g[n] as number) + (logits[i] as number)))
      const all = g.reduce((sum, score) => sum + Math.exp(score), 0)
      const keptOnly = exponents.reduce((sum, value) => sum + value, 0)
      const weights = exponents.map(value =>
        gate === 'uniform' ? 1 / patchesPerExpert : value / (gate === 'softmax-all' ? all : keptOnly),
      )
      return Array.from({ length: OUTPUTS }, (_, d) =>
        features.arraySync().reduce((sum, row, i) => sum + (row[d] as number) * (weights[i] as number), 0),
      )
    })
    if (aggregate === 'concat') return outputs.flat()
    return Array.from({ length: OUTPUTS }, (_, d) =>
      outputs.reduce((sum, own) => sum + (own[d] as number), 0),
    )
  })
}

const CASES: Partial<PatchExpertsOptions>[] = [
  ...(['product', 'softmax-selected', 'softmax-all', 'uniform'] as const).flatMap(gate => [
    { gate },
    { gate, numExperts: 3, aggregate: 'sum' as const },
    { gate, numExperts: 2, shareExpert: true },
  ]),
  { margin: 0, prior: 'none' },
  { margin: 2 },
  { patchesPerExpert: 1 },
]

describe('PatchExperts', () => {
  it.each(CASES)('computes what its networks give on the patches of the best cells: %o', options => {
    const { layer, model } = built(options)
    const x = images(3, 2)
    expectAllClose((model.predict(x) as tf.Tensor2D).arraySync(), bruteForce(layer, x), 1e-4, 1e-4)
  })

  it.each(CASES)('has the gradients that finite differences give: %o', options => {
    const { layer, model } = built(options)
    const x = images(2, 3)
    const cotangent = drawTensor([2, model.outputs[0]?.shape[1] as number], 4)
    const weighted = (output: tf.Tensor) => tf.sum(tf.mul(output, cotangent)) as tf.Scalar
    const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
    const { grads } = tf.variableGrads(
      () => weighted(model.apply(x, { training: true }) as tf.Tensor),
      variables,
    )
    // Small steps may change what is kept, and no gradient passes through that: the patches stay those of the start.
    const cut = cutForm(layer, x)
    const loss = () => weighted(layer.apply(cut, { training: true }) as tf.Tensor).dataSync()[0] as number
    for (const [i, variable] of variables.entries()) {
      const direction = drawTensor(variable.shape, 20 + i)
      const [higher, lower] = [1, -1].map(sign => {
        const start = variable.clone()
        variable.assign(tf.add(start, tf.mul(direction, sign * 5e-4)))
        const value = loss()
        variable.assign(start)
        return value
      }) as [number, number]
      const slope = tf.sum(tf.mul(grads[variable.name] as tf.Tensor, direction)).dataSync()[0] as number
      expect(Math.abs(slope - (higher - lower) / 1e-3)).toBeLessThan(1e-3 + 1e-2 * Math.abs(slope))
    }
  })

  it.each(['product', 'softmax-selected'] as const)(
    'gives the scores of cells that are not kept gradient 0: %s',
    gate => {
      const { layer, model } = built({ gate, numExperts: 2, router: freeScores })
      const x = images(1, 8)
      const scores = layer.trainableWeights.length
      expect(scores).toBeGreaterThan(0)
      const bias = layer.weights.find(({ originalName }) => originalName.endsWith('router/fixed/bias'))
      const variable = bias?.read() as tf.Variable
      const cotangent = drawTensor([1, 2 * OUTPUTS], 9)
      const loss = () =>
        tf.sum(tf.mul(model.apply(x, { training: true }) as tf.Tensor, cotangent)) as tf.Scalar
      const gradient = tf.variableGrads(loss, [variable]).grads[variable.name]?.dataSync() as Float32Array
      const kept = layer.route(layer.viewOf(x)).indices.arraySync()[0] as number[][]
      for (const [i, slope] of gradient.entries()) {
        const isKept = kept[i % 2]?.includes(Math.floor(i / 2))
        if (isKept) expect(Math.abs(slope)).toBeGreaterThan(1e-7)
        else expect(slope).toBe(0)
      }
    },
  )

  it('is the mean of the expert over all tiles where nothing is left out', () => {
    const image = [12, 16, 2] as const
    const { layer, model } = built({ margin: 0, patchesPerExpert: 12, gate: 'uniform', prior: 'none' }, image)
    const x = images(2, 11, image)
    const tiles = tf.reshape(tf.transpose(tf.reshape(x, [2, 3, 4, 4, 8]), [0, 1, 3, 2, 4]), [24, 4, 4, 2])
    const features = (layer.networks.get('expert_0') as tf.LayersModel).predict(tiles) as tf.Tensor2D
    const mean = tf.mean(tf.reshape(features, [2, 12, OUTPUTS]), 1)
    expectAllClose((model.predict(x) as tf.Tensor).arraySync() as never, mean.arraySync() as never, 0, 1e-5)
  })

  it.each(['product', 'softmax-selected', 'uniform'] as const)('has gates that sum to 1: %s', gate => {
    const { layer } = built({ gate, numExperts: 2 })
    const x = images(3, 12)
    const cut = (indices: tf.Tensor3D) => cutPatches(x, tf.reshape(indices, [3, -1]), layer.grid)
    const { gates, boxes, indices } = layer.route(layer.viewOf(x), cut)
    expectAllClose(tf.sum(gates, 2).dataSync(), new Float32Array(6).fill(1))
    const table = patchBoxes(layer.grid)
    const expected = [...indices.dataSync()].flatMap(n => [...table.subarray(4 * n, 4 * n + 4)])
    expect(boxes.shape).toEqual([3, 2, 3, 4])
    expect([...boxes.dataSync()]).toEqual(expected)
  })

  it.each([{}, { numExperts: 2 }, { numExperts: 2, shareExpert: true }])(
    'computes the same from an image, a view and the image, and a view and patches: %o',
    options => {
      const { layer, model } = built(options)
      const x = images(2, 13)
      const view = layer.viewOf(x)
      const { numExperts } = layer
      const twoInputs = [tf.input({ shape: view.shape.slice(1) }), tf.input({ shape: [...IMAGE] })]
      const cutInputs = [
        tf.input({ shape: view.shape.slice(1) }),
        tf.input({ shape: [numExperts, 3, 6, 6, 2] }),
        tf.input({ shape: [numExperts, 3], dtype: 'int32' }),
      ]
      const [fromView, fromPatches] = [twoInputs, cutInputs].map(inputs => {
        const other = patchExperts({ ...base, ...options })
        const outputs = other.apply(inputs) as tf.SymbolicTensor
        other.setWeights(layer.getWeights())
        return tf.model({ inputs, outputs })
      }) as [tf.LayersModel, tf.LayersModel]
      const expected = (model.predict(x) as tf.Tensor).dataSync()
      expectAllClose((fromView.predict([view, x]) as tf.Tensor).dataSync(), expected, 0, 1e-6)
      const { indices } = layer.route(view)
      const patches = tf.reshape(cutPatches(x, tf.reshape(indices, [2, -1]), layer.grid), [
        2,
        numExperts,
        3,
        6,
        6,
        2,
      ])
      expectAllClose(
        (fromPatches.predict([view, patches, indices]) as tf.Tensor).dataSync(),
        expected,
        0,
        1e-6,
      )
    },
  )

  it.each([{}, { numExperts: 2, gate: 'uniform' as const }, { numExperts: 2, shareExpert: true, margin: 0 }])(
    'is saved and loaded whole: %o',
    async options => {
      const { layer, model } = built(options)
      expect(layer.weights[0]?.originalName).toBe(`${layer.name}/router/conv1/kernel`)
      let artifacts: tf.io.ModelArtifacts | undefined
      await model.save(
        tf.io.withSaveHandler(async saved => {
          artifacts = saved
          return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } }
        }),
      )
      const loaded = await tf.loadLayersModel(tf.io.fromMemory(artifacts as tf.io.ModelArtifacts))
      const x = images(2, 14)
      expect((loaded.predict(x) as tf.Tensor).arraySync()).toEqual(
        (model.predict(x) as tf.Tensor).arraySync(),
      )
      expect(loaded.weights.map(({ shape }) => shape)).toEqual(model.weights.map(({ shape }) => shape))
    },
  )

  it('ends its prior after a share of the training, and keeps it until then when saved', () => {
    const { layer, model } = built({ priorUntil: 0.5, gate: 'softmax-selected' })
    const without = built({ prior: 'none', gate: 'softmax-selected' })
    const withPrior = built({ gate: 'softmax-selected' })
    const x = images(2, 15)
    const answer = ({ model }: { model: tf.LayersModel }) => [...(model.predict(x) as tf.Tensor).dataSync()]
    expect(answer({ model })).toEqual(answer(without))
    layer.useProgress(0.4)
    expect(answer({ model })).toEqual(answer(withPrior))
    const copy = tf.model({ inputs: model.inputs, outputs: model.outputs })
    expect(copy.layers[1]?.getConfig()).toMatchObject({ trainingProgress: 0.4 })
    layer.useProgress(0.5)
    expect(answer({ model })).toEqual(answer(without))
    expect(layer.getConfig()).not.toHaveProperty('trainingProgress')
  })

  it('takes a prior of its own, by name where it is to be saved', () => {
    const left = (view: tf.Tensor4D, grid: { readonly cells: readonly [number, number] }) =>
      tf.tile(tf.reshape(tf.range(grid.cells[1], 0, -1), [1, 1, -1]), [view.shape[0], grid.cells[0], 1])
    const options = { patchesPerExpert: 6, priorWeight: 100, gate: 'softmax-selected' } as const
    const { layer } = built({ ...options, prior: left })
    const { indices } = layer.route(layer.viewOf(images(1, 16)))
    expect([...indices.dataSync()].sort((a, b) => a - b)).toEqual([0, 7, 14, 21, 28, 35])
    expect(() => layer.getConfig()).toThrow(
      'PatchExperts: prior must have a name to be saved, got a function (registerPrior gives it one)',
    )
    registerPrior('left of the test', left)
    const named = built({ ...options, prior: 'left of the test' as never })
    expect(named.layer.getConfig()).toMatchObject({ prior: 'left of the test' })
    expect(() => registerPrior('contrast', left)).toThrow(
      "registerPrior: name must be a new one, got 'contrast'",
    )
  })

  it('chooses the cells that it keeps, and computes the prior of a view once', async () => {
    let asked = 0
    const prior = (view: tf.Tensor4D, grid: CellGrid) => {
      asked++
      return (namedPrior('contrast') as (view: tf.Tensor4D, grid: CellGrid) => tf.Tensor)(view, grid)
    }
    const { layer } = built({ numExperts: 2, prior, priorUntil: 0.5 })
    layer.useProgress(0)
    const view = layer.viewOf(images(2, 19))
    const again = tf.clone(view)
    const other = layer.viewOf(images(2, 20))
    const before = tf.memory().numTensors
    const cells = await layer.choose(view)
    expect(tf.memory().numTensors).toBe(before)
    expect(asked).toBe(1)
    const known = layer.route(view)
    expect(asked).toBe(1)
    const fresh = layer.route(again)
    expect(asked).toBe(2)
    for (const { indices, gates } of [known, fresh]) {
      expect(indices.dataSync()).toEqual(cells)
      expect(gates.dataSync()).toEqual(fresh.gates.dataSync())
    }
    // Another view, and this one after the prior has ended, have none of what was known.
    expect(await layer.choose(other)).not.toEqual(cells)
    layer.useProgress(0.5)
    const without = built({ numExperts: 2, prior: 'none' }).layer
    expect(await layer.choose(view)).toEqual(await without.choose(again))
    expect(asked).toBe(3)
  })

  it('says so where a view has a number that is not finite', () => {
    const { model } = built()
    const x = tf.where(tf.less(tf.range(0, 21 * 26 * 2), 1).reshape([1, ...IMAGE]), Number.NaN, images(1, 17))
    expect([...(model.predict(x) as tf.Tensor).dataSync()].every(Number.isNaN)).toBe(true)
  })

  it('gives back the memory of a pass', () => {
    const { layer, model } = built({ numExperts: 2 })
    const x = images(2, 18)
    const pass = () => {
      tf.dispose(model.predict(x))
      const view = layer.viewOf(x)
      tf.dispose([view, ...Object.values(layer.route(view))])
    }
    pass()
    const before = tf.memory().numTensors
    pass()
    expect(tf.memory().numTensors).toBe(before)
  })
})

describe('PatchExperts refuses', () => {
  const flat = (shape: readonly number[], k: number): tf.LayersModel =>
    tf.sequential({
      layers: [tf.layers.flatten({ inputShape: [...shape] }), tf.layers.dense({ units: 2 + k })],
    })

  it.each([
    [
      { patchesPerExpert: 43 },
      'patchesPerExpert must be an integer in [1, 42], got 43 (42 cells: 6x7 of 4x4 pixels)',
    ],
    [{ patchesPerExpert: 0 }, 'patchesPerExpert must be a positive integer, got 0'],
    [{ margin: 3 }, 'margin must be an integer in [0, 2], half a cell, got 3 (cells of 4x4 pixels)'],
    [{ margin: -1 }, 'margin must be an integer in [0, 2], half a cell, got -1'],
    [{ viewScale: 3 }, 'viewScale must divide cellSize, got 3 (cells of 4x4 pixels)'],
    [{ priorUntil: 0 }, 'priorUntil must be a number in (0, 1], got 0'],
    [{ priorWeight: -1 }, 'priorWeight must be a number in [0, Infinity), got -1'],
    [{ prior: 'colour' as never }, "prior must be one of 'contrast', 'none'"],
    [{ gate: 'sum' as never }, "gate must be one of 'product', 'softmax-selected'"],
    [{ aggregate: 'mean' as never }, "aggregate must be one of 'concat', 'sum', got \"mean\""],
    [{ expert: 3 as never }, 'expert must be a function (patchShape, k) => model, got number'],
    [{ router: {} as never }, 'router must be a function (viewShape, numExperts) => model, got object'],
    [{ numExperts: 2, expert: flat }, 'expert_1 must return the shape (2) of the first, got (3)'],
    [
      { router: flat as never },
      'router must return a score for each cell and expert, of shape (6, 7, 1), got (3)',
    ],
    [
      { prior: (view: tf.Tensor4D) => tf.ones([view.shape[0], 3]) },
      'prior must return a number for each cell, (1, 6, 7), got (1, 3)',
    ],
    [{ cellsize: 4 } as never, 'options must be among those that it has, got cellsize (nearest: cellSize)'],
  ] as [Partial<PatchExpertsOptions>, string][])('%o', (options, message) => {
    expect(() => built(options).model.predict(images(1, 1))).toThrow(`PatchExperts: ${message}`)
  })

  it('images smaller than a patch', () => {
    expect(() => built({}, [5, 20, 1])).toThrow(
      'PatchExperts: image must be at least as large as a patch, 6x6 pixels, got 5x20 (cells of 4x4 with a margin of 1)',
    )
    expect(() => built({}, [5, 20])).toThrow(
      'image must be of known height, width and channels, got shape (batch, 5, 20)',
    )
  })

  it('inputs that do not belong together', () => {
    const apply = (...shapes: number[][]) =>
      patchExperts(base).apply(shapes.map(shape => tf.input({ shape })))
    expect(() => apply([10, 13, 2], [21, 26, 2])).toThrow(
      'PatchExperts: view must be of shape (11, 13, 2), that of the image at 1/2, got (10, 13, 2) (image of 21x26x2)',
    )
    expect(() => apply([11, 13, 2], [1, 3, 5, 6, 2], [1, 3])).toThrow(
      'PatchExperts: patches must be of shape (batch, 1, 3, 6, 6, 2), got (batch, 1, 3, 5, 6, 2)',
    )
    expect(() => apply([11, 13, 2], [1, 3, 6, 6, 2], [1, 2])).toThrow(
      'PatchExperts: indices must be of shape (batch, 1, 3), got (batch, 1, 2)',
    )
    expect(() => apply([1], [1], [1], [1])).toThrow('got 4 tensors')
  })
})
