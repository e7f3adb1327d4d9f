import type * as tfl from '@tensorflow/tfjs-layers'
import type { StoredTensor } from '../../data/formats/safetensors.js'
import { transposed } from '../graph/transposed.js'
import { foreignPrefix, withoutPrefix } from './name-prefix.js'
import { loadWeights, type NamedWeight, namedWeights, nameInLayer } from './weights.js'

/**
 * Gives a model the weights of a PyTorch checkpoint that was stored as safetensors, all of them or none; see
 * {@link fromTorch} for the names and the order of axes.
 *
 * @param names layers or weights of the checkpoint -> layers or weights of the model
 * @param source name of the file, for errors
 * @throws RangeError naming the tensor and both shapes where one does not fit, is missing or belongs to no weight; the
 *   model is then unchanged
 */
export function loadTorchWeights(
  model: tfl.LayersModel,
  tensors: ReadonlyMap<string, StoredTensor>,
  names: Readonly<Record<string, string>>,
  source: string,
): void {
  loadWeights(model, fromTorch(model, tensors, names, source), source)
}

/**
 * Turns the tensors of a PyTorch checkpoint into those of a model: convolutions (out, in, h, w) become (h, w, in, out),
 * depthwise ones (channels x multiplier, 1, h, w) become (h, w, channels, multiplier), dense ones (out, in) become
 * (in, out).
 *
 * Names follow the usual ones, BatchNorm's `weight`, `bias`, `running_mean`, `running_var` among them, once a layer's
 * own is given: `{ "group1.conv": "group1_block1_conv1" }`. A pair may also name two weights:
 * `{ "head.w": "logits/kernel" }`. A prefix that all names share, such as `module.` of a wrapper, need not be given.
 *
 * Two differences do not show in the weights: PyTorch pads both sides equally, while 'same' of stride 2 here pads the end
 * more; and after a map is flattened, PyTorch has another order of features.
 *
 * @param names layers or weights of the checkpoint -> layers or weights of the model
 * @param source name of the file, for errors
 * @returns tensors by layer and weight name, for `loadWeights`; `num_batches_tracked` is left out
 * @throws RangeError naming the tensor that no pair names, or that is named twice, or whose rank or shape does not fit
 */
export function fromTorch(
  model: tfl.LayersModel,
  tensors: ReadonlyMap<string, StoredTensor>,
  names: Readonly<Record<string, string>>,
  source: string,
): Map<string, StoredTensor> {
  const weights = new Map(namedWeights(model).map(weight => [weight.name, weight]))
  const converted = new Map<string, StoredTensor>()
  const entries = [...tensors].filter(([name]) => !name.endsWith('num_batches_tracked'))
  const prefix = foreignPrefix(
    entries.map(([name]) => name),
    name => weights.has(targetOf(name, names, weights) ?? ''),
  )
  for (const [name, tensor] of entries) {
    const target = targetOf(withoutPrefix(name, prefix), names, weights)
    const weight = target === undefined ? undefined : weights.get(target)
    if (!weight) {
      throw new RangeError(
        `${source}: tensor "${name}" must be named after a weight of ${model.name}, got ` +
          (target === undefined ? 'no pair of names for it' : `"${target}", which it does not have`),
      )
    }
    if (converted.has(weight.name)) {
      throw new RangeError(`${source}: weight "${weight.name}" must come once, got it again as "${name}"`)
    }
    converted.set(weight.name, transposedWeight(name, tensor, weight, source))
  }
  return converted
}

/** Names of weights in PyTorch, and the names that they can have in layers of tfjs. */
const usualNames: Readonly<Record<string, readonly string[]>> = {
  weight: ['kernel', 'gamma', 'depthwise_kernel', 'alpha'],
  bias: ['bias', 'beta'],
  running_mean: ['moving_mean'],
  running_var: ['moving_variance'],
}

function targetOf(
  name: string,
  names: Readonly<Record<string, string>>,
  weights: ReadonlyMap<string, NamedWeight>,
): string | undefined {
  const direct = Object.hasOwn(names, name) ? names[name] : undefined
  if (direct !== undefined) return direct
  const dot = name.lastIndexOf('.')
  const layer = name.slice(0, Math.max(dot, 0))
  const target = Object.hasOwn(names, layer) ? names[layer] : undefined
  if (target === undefined) return undefined
  const weightName = name.slice(dot + 1)
  const candidates = (usualNames[weightName] ?? [weightName]).map(end => `${target}/${end}`)
  return candidates.find(candidate => weights.has(candidate)) ?? `${target}/${weightName}`
}

function transposedWeight(
  name: string,
  tensor: StoredTensor,
  { variable }: NamedWeight,
  source: string,
): StoredTensor {
  const expected = variable.shape as number[]
  const rank = tensor.shape.length
  if (tensor.dtype !== 'F32' && tensor.dtype !== 'F64') {
    throw new RangeError(`${source}: tensor "${name}" must hold floats, got ${tensor.dtype}`)
  }
  const depthwise = rank === 4 && nameInLayer(variable) === 'depthwise_kernel'
  const order = rank === 4 ? [2, 3, 1, 0] : rank === 2 ? [1, 0] : undefined
  const data = Float32Array.from(tensor.data)
  const plain = order ? transposed({ data, shape: tensor.shape }, order) : { data, shape: tensor.shape }
  // (h,w,1,channels x multiplier) has its numbers in the order of (h,w,channels,multiplier).
  const shape =
    depthwise && plain.shape[3] === (expected[2] ?? 0) * (expected[3] ?? 0) ? expected : plain.shape
  if (shape.length !== expected.length || shape.some((side, axis) => side !== expected[axis])) {
    throw new RangeError(
      `${source}: tensor "${name}" must have the shape [${expected.join(', ')}]${order ? ' once turned' : ''}, ` +
        `got [${shape.join(', ')}] (stored as [${tensor.shape.join(', ')}])`,
    )
  }
  return { dtype: 'F32', shape, data: plain.data as Float32Array }
}
