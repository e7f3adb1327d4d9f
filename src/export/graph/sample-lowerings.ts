import type { BankActivation } from '../../layers/moe/filter-banks.js'
import type { PatchGrid } from '../../layers/moe/patches.js'
import type { SampleExperts } from '../../layers/moe/sample-experts.js'
import type { SampleMoE } from '../../layers/moe/sample-moe.js'
import type { Constant, Value } from './graph.js'
import { floats, type GraphBuilder } from './graph-builder.js'
import type { ExportedLayer, Lowering } from './lowering.js'

/** The experts of a SampleMoE, one table row each, and how they are applied. */
interface ExpertTables {
  /** (E, d q J). */
  readonly kernel: Constant
  /** (E, q J). */
  readonly bias: Constant | undefined
  /** J. */
  readonly filtersPerOutput: number
}

/**
 * A SampleMoE as inference computes it: scores, the best experts of each sample, and their filters alone, gathered for each
 * sample.
 */
const sampleMoE: Lowering = (exported, [x], build) => {
  const layer = exported.layer as SampleMoE
  const map = x as Value
  const { grid, outputs, expertsPerSample: count, activation } = layer
  const router = exported.weight('router')
  const width = router.data.length / layer.numExperts // d = h w C
  const sums = patchSums(build, map, grid)
  const { indices, gates } = choose(build, sums, router, layer)
  const isLinear = activation === 'linear'
  const patches = isLinear ? 1 : grid.count
  const vectors = isLinear ? sums : patchVectors(build, map, grid)
  const tables = expertTables(exported.weight('kernel'), exported.optionalWeight('bias'), width, layer)
  const filters = outputs * tables.filtersPerOutput
  const kernels = sideBySide(build, build.gather(tables.kernel, indices), [count, width, filters])
  const products = build.batchedProduct(build.reshape(vectors, [null, patches, width]), kernels) // (B,P,k q J)
  const linear = tables.bias
    ? build.binary(
        'add',
        products,
        build.reshape(build.gather(tables.bias, indices), [null, 1, count * filters]),
      )
    : products
  const active = build.reshape(activate[activation](build, linear), [
    null,
    patches * count * outputs,
    tables.filtersPerOutput,
  ])
  const perPatch = build.reshape(build.reduce(active, 'sum', [2]), [null, patches, count * outputs])
  const answers = build.reshape(build.reduce(perPatch, 'sum', [1]), [null, count, outputs])
  return build.reduce(build.binary('mul', answers, build.reshape(gates, [null, count, 1])), 'sum', [1])
}

/** The kernels of a sample's experts (B,k,d q J) as one (B,d,k q J). */
function sideBySide(
  build: GraphBuilder,
  kernels: Value,
  [count, width, filters]: readonly [number, number, number],
): Value {
  if (count === 1) return build.reshape(kernels, [null, width, filters])
  const apart = build.reshape(kernels, [null, count, width, filters])
  return build.reshape(build.transpose(apart, [0, 2, 1, 3]), [null, width, count * filters])
}

const activate: Readonly<Record<BankActivation, (build: GraphBuilder, z: Value) => Value>> = {
  cubic: (build, z) => build.binary('mul', build.binary('mul', z, z), z),
  linear: (_, z) => z,
  relu: (build, z) => build.unary(z, 'relu'),
}

/** (B, d): the sum of a sample's patches. */
function patchSums(build: GraphBuilder, map: Value, { cells, patch }: PatchGrid): Value {
  const channels = map.shape[3] as number
  const [[rows, columns], [height, width]] = [cells, patch]
  const bands = build.reshape(map, [null, columns, width * channels])
  // Of each row of pixels the sum over its patches, then of each row of a patch the sum over the rows of patches.
  const inRows = columns === 1 ? bands : build.reduce(bands, 'sum', [1])
  const inPatches = build.reshape(inRows, [null, rows, height * width * channels])
  return build.reduce(inPatches, 'sum', [1])
}

/** (B, N, d): a sample's patches. */
function patchVectors(build: GraphBuilder, map: Value, { cells, patch, count }: PatchGrid): Value {
  const channels = map.shape[3] as number
  const [[rows, columns], [height, width]] = [cells, patch]
  if (columns === 1 || height === 1) return build.reshape(map, [null, count, height * width * channels])
  const bands = build.reshape(map, [null, rows, height, columns, width * channels])
  return build.reshape(build.transpose(bands, [0, 1, 3, 2, 4]), [null, count, height * width * channels])
}

/** How a layer's samples choose. */
interface Choice extends Pick<SampleMoE, 'numExperts' | 'expertsPerSample' | 'gate'> {
  readonly prunedExperts?: readonly number[]
  /** (M), added to the scores. */
  readonly bias?: Constant
}

/** Scores every expert and keeps the best of each sample: (B,k). */
function choose(build: GraphBuilder, sums: Value, router: Constant, choice: Choice) {
  const { numExperts, expertsPerSample: count, gate, prunedExperts = [], bias } = choice
  const matrix = { shape: [router.data.length / numExperts, numExperts], data: router.data }
  const asComputed = build.dense(sums, matrix, bias, { exact: true })
  // A sample whose score is NaN or infinite must not be sent anywhere silently: its gates become NaN.
  const notFinite = build.notFinite(asComputed)
  const scores = build.binary('add', asComputed, notFinite)
  const { values, indices } = build.top(scores, count)
  const gates = {
    // Softmax keeps the order of the scores, so its largest values belong to the experts already chosen.
    softmax: () => build.top(build.softmax(scores), count).values,
    raw: () => values,
    uniform: () => build.binary('add', notFinite, floats(new Float32Array(count).fill(1), [1, count])),
  }[gate]()
  build.routes.push({ layer: build.layer, indices, gates, scores })
  if (prunedExperts.length === 0) return { indices, gates }
  return { indices: build.gather(tableRows(numExperts, prunedExperts), indices), gates }
}

/** (M) int32: the table row of each expert; the last one, of zeros, is that of all pruned experts. */
function tableRows(numExperts: number, prunedExperts: readonly number[]): Constant {
  const own = Array.from({ length: numExperts }, (_, m) => m).filter(m => !prunedExperts.includes(m))
  const rows = Array.from({ length: numExperts }, (_, m) => (own.includes(m) ? own.indexOf(m) : own.length))
  return { shape: [numExperts], data: Int32Array.from(rows) }
}

/** Each expert's filters in a row; those of linear experts, summed. */
function expertTables(
  kernel: Constant,
  bias: Constant | undefined,
  width: number,
  { numExperts, prunedExperts, outputs, filtersPerOutput, activation, grid }: SampleMoE,
): ExpertTables {
  const experts = numExperts - prunedExperts.length
  const silent = prunedExperts.length > 0 ? 1 : 0
  const isLinear = activation === 'linear'
  const summed = isLinear ? filtersPerOutput : 1
  const table = (weights: Constant, rows: number, factor: number): Constant => {
    const columns = (outputs * filtersPerOutput) / summed
    const data = new Float32Array((experts + silent) * rows * columns)
    for (const [i, value] of weights.data.entries()) {
      const [row, filter] = [Math.floor(i / (experts * columns * summed)), i % (experts * columns * summed)]
      const column = Math.floor(filter / summed)
      const at = (Math.floor(column / columns) * rows + row) * columns + (column % columns)
      data[at] = (data[at] as number) + value * factor
    }
    return { shape: [experts + silent, rows * columns], data }
  }
  return {
    kernel: table(kernel, width, 1),
    bias: bias && table(bias, 1, isLinear ? grid.count : 1),
    filtersPerOutput: filtersPerOutput / summed,
  }
}

/** SampleExperts as inference computes it. */
const sampleExperts: Lowering = (exported, [x], build) => {
  const layer = exported.layer as SampleExperts
  const map = x as Value
  const { grid, expertsPerSample: count } = layer
  const bias = exported.optionalWeight('router_bias')
  const { indices, gates } = choose(build, patchSums(build, map, grid), exported.weight('router'), {
    numExperts: layer.numExperts,
    expertsPerSample: count,
    gate: layer.gate,
    ...(bias && {
      bias: floats(
        bias.data.map(value => value * grid.count),
        bias.shape,
      ),
    }),
  })
  const answers = (build.everyExpert ? answersOfAll : answersOfChosen)(exported, map, indices, build)
  const ofSamples = build.reshape(answers, [null, count, answers.shape[1] as number])
  return build.reduce(build.binary('mul', ofSamples, build.reshape(gates, [null, count, 1])), 'sum', [1])
}

/** (B k, D): answers of the networks that samples chose. */
type Answers = (exported: ExportedLayer, map: Value, indices: Value, build: GraphBuilder) => Value

/** Each network is applied to the samples that chose it, which are gathered for it, and its answers are put back where they were chosen. */
const answersOfChosen: Answers = (exported, map, indices, build) => {
  const layer = exported.layer as SampleExperts
  const count = layer.expertsPerSample
  const choices = build.reshape(indices, [null])
  const samples = count === 1 ? undefined : samplesOfChoices(build, map, indices)
  const placed = [...layer.networks].map(([name, network], expert) => {
    const places = build.places(choices, expert)
    const computed = build.places(choices, expert, { orFirst: true })
    const rows = samples ? build.gather(samples, computed) : computed
    const answers = exported.network(network, name, build.gather(map, rows))
    return build.scatter(places, answers, map, count, { spare: true })
  })
  return placed.reduce((sum, answer) => build.binary('add', sum, answer))
}

/** Each network is applied to all samples, and the answers that were chosen are gathered: no shape depends on numbers. */
const answersOfAll: Answers = (exported, map, indices, build) => {
  const networks = [...(exported.layer as SampleExperts).networks]
  const answers = networks.map(([name, network]) => exported.network(network, name, map))
  const table = build.reshape(build.concat(answers, 1), [null, answers[0]?.shape[1] as number])
  // The answers for a sample follow each other, by the number of the network.
  const rows = build.binary('add', indices, build.reshape(build.batchStarts(map, networks.length), [null, 1]))
  return build.gather(table, build.reshape(rows, [null]))
}

/** (B k): the number of the sample of each choice. */
function samplesOfChoices(build: GraphBuilder, map: Value, indices: Value): Value {
  const numbers = build.reshape(build.batchStarts(map, 1), [null, 1])
  const zeros = build.binary('mul', indices, { shape: [], data: Int32Array.of(0) })
  return build.reshape(build.binary('add', zeros, numbers), [null])
}

/** The layers of this library that send whole samples to experts, by class name. */
export const sampleLowerings: Readonly<Record<string, Lowering>> = {
  SampleMoE: sampleMoE,
  SampleExperts: sampleExperts,
}
