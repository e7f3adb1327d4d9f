import type * as tfl from '@tensorflow/tfjs-layers'
import type { StoredTensor } from '../data/safetensors.js'
import { transposed } from './transposed.js'
import { loadWeights, type NamedWeight, namedWeights, nameInLayer } from './weights.js'

/**
 * Gives a model the weights of a PyTorch checkpoint that was stored as safetensors, all of them or none; see
 * {@link fromTorch} for names and what is turned.
 *
 * @param names layers or weights of the checkpoint -> layers or weights of the model
 * @param source name of the file, for errors
 * @throws RangeError naming the tensor and both shapes where one does not fit, is missing or is nobody's; the model is
 *   then as before
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
 * `{ "head.w": "logits/kernel" }`.
 *
 * Mind what weights do not say: PyTorch pads both sides alike, while 'same' of stride 2 here pads the end more; and after
 * flattening a map, PyTorch has another order of features.
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
  const found = new Map<string, StoredTensor>()
  for (const [name, tensor] of tensors) {
    if (name.endsWith('num_batches_tracked')) continue
    const target = targetOf(name, names, weights)
    const weight = target === undefined ? undefined : weights.get(target)
    if (!weight) {
      throw new RangeError(
        `${source}: tensor "${name}" must be named after a weight of ${model.name}, got ` +
          (target === undefined ? 'no pair of names for it' : `"${target}", which it does not have`),
      )
    }
    if (found.has(weight.name)) {
      throw new RangeError(`${source}: weight "${weight.name}" must come once, got it again as "${name}"`)
    }
    found.set(weight.name, turned(name, tensor, weight, source))
  }
  return found
}

/** What a weight is called in PyTorch, and in layers of tfjs. */
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
  const own = name.slice(dot + 1)
  const candidates = (usualNames[own] ?? [own]).map(end => `${target}/${end}`)
  return candidates.find(candidate => weights.has(candidate)) ?? `${target}/${own}`
}

function turned(name: string, tensor: StoredTensor, { variable }: NamedWeight, source: string): StoredTensor {
  const wanted = variable.shape as number[]
  const rank = tensor.shape.length
  if (tensor.dtype !== 'F32' && tensor.dtype !== 'F64') {
    throw new RangeError(`${source}: tensor "${name}" must hold floats, got ${tensor.dtype}`)
  }
  const depthwise = rank === 4 && nameInLayer(variable) === 'depthwise_kernel'
  const order = rank === 4 ? [2, 3, 1, 0] : rank === 2 ? [1, 0] : undefined
  const data = Float32Array.from(tensor.data)
  const plain = order ? transposed({ data, shape: tensor.shape }, order) : { data, shape: tensor.shape }
  // (h,w,1,channels x multiplier) has its numbers in the order of (h,w,channels,multiplier).
  const shape = depthwise && plain.shape[3] === (wanted[2] ?? 0) * (wanted[3] ?? 0) ? wanted : plain.shape
  if (shape.length !== wanted.length || shape.some((side, axis) => side !== wanted[axis])) {
    throw new RangeError(
      `${source}: tensor "${name}" must have the shape [${wanted.join(', ')}]${order ? ' once turned' : ''}, ` +
        `got [${shape.join(', ')}] (stored as [${tensor.shape.join(', ')}])`,
    )
  }
  return { dtype: 'F32', shape, data: plain.data as Float32Array }
}
