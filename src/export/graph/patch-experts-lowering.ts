import { windowMargin, windowShares } from '../../layers/moe/cell-scores/contrast.js'
import { edgeShares, patchPixels, viewCell, wholeView } from '../../layers/moe/cells.js'
import { gateKind } from '../../layers/moe/gates.js'
import type { PatchExperts } from '../../layers/moe/patch-experts.js'
import { LEAST_DEVIATION } from '../../layers/moe/priors.js'
import { shapeSize, viewSize } from '../../shapes.js'
import type { Constant, Value } from './graph.js'
import { floats, type GraphBuilder, number } from './graph-builder.js'
import type { ExportedLayer, Lowering } from './lowering.js'

/**
 * PatchExperts as inference computes it: the router scores the cells of the view, the patches of the best ones are gathered from the
 * image, and the experts are applied to these alone.
 */
const patchExperts: Lowering = (exported, inputs, build) => {
  const layer = exported.layer as PatchExperts
  if (inputs.length > 2)
    exported.refuse('patches that are cut elsewhere (export it with an image as its input)')
  const image = inputs.at(-1) as Value
  const view = inputs.length === 2 ? (inputs[0] as Value) : viewOf(build, image, layer.grid.viewScale)
  const scores = scoresOf(exported, layer, build, view)
  const { numExperts: experts, patchesPerExpert: count } = layer
  const best = build.top(scores, count)
  const cut = patchCutter(build, image, layer)
  const features = featuresOf(exported, layer, build, expert => {
    if (expert === undefined || experts === 1) return cut(best.indices)
    const own = build.crop(scores, [
      [0, 0],
      [expert, experts - 1 - expert],
      [0, 0],
    ])
    return cut(build.top(own, count).indices)
  })
  const gates = gatesOf(exported, layer, build, { scores, kept: best.values, features })
  build.routes.push({ layer: build.layer, indices: best.indices, gates })
  const size = features.shape[3] as number
  const summed = build.batchedProduct(build.reshape(gates, [null, experts, 1, count]), features)
  const ofExperts = build.reshape(summed, [null, experts * size])
  if (layer.options.aggregate === 'concat' || experts === 1) return ofExperts
  return build.reduce(build.reshape(summed, [null, experts, size]), 'sum', [1])
}

/** Zeros on the right and below, up to a size. */
function paddedTo(build: GraphBuilder, x: Value, [height, width]: readonly [number, number]): Value {
  const [, h, w] = x.shape as readonly number[]
  if (h === height && w === width) return x
  return build.pad(x, [
    [0, 0],
    [0, height - (h as number)],
    [0, width - (w as number)],
    [0, 0],
  ])
}

function viewOf(build: GraphBuilder, image: Value, scale: number): Value {
  if (scale === 1) return image
  const size = [image.shape[1] as number, image.shape[2] as number] as const
  const [h, w] = viewSize(size, scale)
  const whole = paddedTo(build, image, [h * scale, w * scale])
  const means = build.pool(whole, 'average', [scale, scale], { strides: [scale, scale], padding: 'valid' })
  const shares = edgeShares(size, scale)
  return shares ? build.binary('div', means, floats(shares, [1, h, w, 1])) : means
}

/** (B,K,N), all NaN for an expert where one is not finite, or a number of the view: ReLUs of a backend may lose NaN. */
function scoresOf(exported: ExportedLayer, layer: PatchExperts, build: GraphBuilder, view: Value): Value {
  const { grid, numExperts, networks } = layer
  const router = networks.get('router')
  if (!router) return exported.refuse('no router')
  const whole = paddedTo(build, view, wholeView(grid))
  const map = exported.network(router, 'router', whole)
  const learned = build.transpose(build.reshape(map, [null, grid.count, numExperts]), [0, 2, 1])
  const scores = layer.usesPrior
    ? build.binary('add', learned, priorOf(exported, layer, build, view))
    : learned
  const pixels = build.reshape(view, [null, 1, shapeSize(view.shape.slice(1) as number[])])
  return build.binary('add', build.binary('add', scores, build.notFinite(scores)), build.notFinite(pixels))
}

/** (B,1,N) */
function priorOf(exported: ExportedLayer, layer: PatchExperts, build: GraphBuilder, view: Value): Value {
  const { grid, options } = layer
  if (options.prior !== 'contrast') exported.refuse('a prior of its own')
  const size = [view.shape[1] as number, view.shape[2] as number] as const
  const [height, width] = viewCell(grid)
  const reach = windowMargin(grid)
  const around = build.pad(paddedTo(build, view, wholeView(grid)), [
    [0, 0],
    [reach, reach],
    [reach, reach],
    [0, 0],
  ])
  const shares = floats(windowShares(size, grid), [1, ...grid.cells, 1])
  const meanOf = (x: Value) => {
    const window = [height + 2 * reach, width + 2 * reach] as const
    return build.binary(
      'div',
      build.pool(x, 'average', window, { strides: [height, width], padding: 'valid' }),
      shares,
    )
  }
  const square = (x: Value) => build.binary('mul', x, x)
  const variance = build.unary(build.binary('sub', meanOf(square(around)), square(meanOf(around))), 'relu')
  const contrast = build.unary(
    build.reshape(build.reduce(variance, 'mean', [3]), [null, 1, grid.count]),
    'sqrt',
  )
  const centred = build.binary('sub', contrast, build.reduce(contrast, 'mean', [2], true))
  const deviation = build.unary(build.reduce(square(centred), 'mean', [2], true), 'sqrt')
  const standardised = build.binary('div', centred, build.binary('add', deviation, number(LEAST_DEVIATION)))
  return build.binary('mul', standardised, number(options.priorWeight))
}

/** Cuts the patches of cells (B,K,L) out of images: (B K L, p, q, C). */
function patchCutter(build: GraphBuilder, image: Value, { grid }: PatchExperts): (indices: Value) => Value {
  const [, height, width, channels] = image.shape as readonly number[]
  const { padded, starts, offsets } = patchPixels(grid)
  const { margin, patch, count } = grid
  const whole = build.pad(image, [
    [0, 0],
    [margin, padded[0] - margin - (height as number)],
    [margin, padded[1] - margin - (width as number)],
    [0, 0],
  ])
  const pixels = build.reshape(whole, [null, channels as number])
  const firsts = build.reshape(build.batchStarts(image, padded[0] * padded[1]), [null, 1, 1])
  const firstOf: Constant = { shape: [count], data: starts }
  const offsetOf: Constant = { shape: [1, offsets.length], data: offsets }
  return indices => {
    const first = build.binary('add', build.gather(firstOf, indices), firsts)
    const rows = build.binary('add', build.reshape(first, [null, 1]), offsetOf)
    return build.reshape(build.gather(pixels, build.reshape(rows, [null])), [
      null,
      ...patch,
      channels as number,
    ])
  }
}

/** (B,K,L,D) of the experts' outputs on their patches. */
function featuresOf(
  exported: ExportedLayer,
  { numExperts, patchesPerExpert, networks, options }: PatchExperts,
  build: GraphBuilder,
  patchesOf: (expert?: number) => Value,
): Value {
  const outputs = (name: string, patches: Value): Value => {
    const network = networks.get(name)
    return network ? exported.network(network, name, patches) : exported.refuse(`no network ${name}`)
  }
  const shaped = (features: Value, experts: number) =>
    build.reshape(features, [null, experts, patchesPerExpert, features.shape[1] as number])
  if (options.shareExpert) return shaped(outputs('expert', patchesOf()), numExperts)
  const own = Array.from({ length: numExperts }, (_, k) => shaped(outputs(`expert_${k}`, patchesOf(k)), 1))
  return own.length === 1 ? (own[0] as Value) : build.concat(own, 1)
}

/** (B,K,L) */
function gatesOf(
  exported: ExportedLayer,
  { options, networks, numExperts, patchesPerExpert: count }: PatchExperts,
  build: GraphBuilder,
  { scores, kept, features }: { readonly scores: Value; readonly kept: Value; readonly features: Value },
): Value {
  const head = networks.get('attention')
  const weighed = (): Value => {
    if (!head) return kept
    const rows = build.reshape(features, [null, features.shape[3] as number])
    const logits = exported.network(head, 'attention', rows)
    return build.binary('add', kept, build.reshape(logits, [null, numExperts, count]))
  }
  const kind = gateKind(options.gate === 'product' ? 'softmax-selected' : options.gate)
  const { gates } = kind.forward<Value>(
    {
      kept: weighed(),
      all: scores,
      ones: () =>
        build.binary('add', build.notFinite(kept), floats(new Float32Array(count).fill(1), [1, 1, count])),
    },
    {
      softmax: x => build.softmax(x),
      largest: x => build.top(x, count).values,
      times: (x, factor) => build.binary('mul', x, number(factor)),
    },
  )
  return kind.dependsOn === 'nothing' ? build.binary('mul', gates, number(1 / count)) : gates
}

/** The layer whose experts see patches of a large image, by class name. */
export const patchExpertsLowering: Readonly<Record<string, Lowering>> = { PatchExperts: patchExperts }
