import { isPlainObject, type JsonObject, shown } from './json-value.js'

/** Settings that change what a layer computes but that tfjs-layers ignores, with the values that make no difference. */
const IGNORED: readonly (readonly [classes: RegExp, setting: string, neutral: readonly unknown[]])[] = [
  [/^(Separable|Depthwise)?Conv[123]D/, 'groups', [1]],
  [/^DepthwiseConv2D$/, 'dilation_rate', [1, [1, 1]]],
  [/^Conv[123]DTranspose$/, 'output_padding', [null]],
  [/^Global(Average|Max)Pooling[123]D$/, 'keepdims', [false]],
  [/^ReLU$/, 'negative_slope', [0]],
  [/^ReLU$/, 'threshold', [0]],
  [/^BatchNormalization$/, 'renorm', [false]],
  [/^LayerNormalization$/, 'rms_scaling', [false]],
  [/^(Dense|Embedding)$/, 'lora_rank', [null]],
  [/^Resizing$/, 'crop_to_aspect_ratio', [false]],
  [/^Resizing$/, 'pad_to_aspect_ratio', [false]],
]

/** Names of tfjs-layers for classes of Keras that take the same settings. */
const CLASSES: Readonly<Record<string, string>> = {
  LecunNormal: 'LeCunNormal',
  LecunUniform: 'LeCunUniform',
  L1: 'L1L2',
  L2: 'L1L2',
  OrthogonalInitializer: 'Orthogonal',
  IdentityInitializer: 'Identity',
}

/** Classes of whole models. */
export const MODELS: readonly string[] = ['Sequential', 'Functional', 'Model']

const ACTIVATIONS: Readonly<Record<string, string>> = { silu: 'swish' }

/** Settings of initializers that only Keras 3 has and that tfjs-layers does not need. */
const ADDED_BY_KERAS_3: ReadonlySet<string> = new Set(['input_axes', 'output_axes'])

const DEEPEST = 32

/**
 * The settings of a layer under tfjs-layers' names and in its forms: shapes of inputs, number types, initializers,
 * regularizers, activations.
 *
 * @param kind class of the layer
 * @throws Error where a setting changes what the layer computes but tfjs-layers does not support it
 */
export function layerSettings(kind: string, config: JsonObject, where: string): JsonObject {
  for (const [classes, setting, neutral] of IGNORED) {
    if (!classes.test(kind) || config[setting] === undefined) continue
    const value = isTuple(config[setting]) ? config[setting].items : config[setting]
    if (neutral.some(other => JSON.stringify(other) === JSON.stringify(value))) continue
    throw new Error(
      `${where}: ${setting} must be ${neutral.map(shown).join(' or ')}, got ${shown(value)} (tfjs-layers)`,
    )
  }
  return entries(config, ([key, value]) => renamed(kind, key, setting(key, value, where, 0)))
}

/** Whether a value is a tuple of Keras 3. */
function isTuple(value: unknown): value is JsonObject {
  return isPlainObject(value) && value.class_name === '__tuple__'
}

function renamed(kind: string, key: string, value: unknown): readonly (readonly [string, unknown])[] {
  if (key === 'quantization_config') return []
  if (kind === 'InputLayer' && key === 'batch_shape') return [['batch_input_shape', value]]
  if (kind === 'InputLayer' && (key === 'optional' || key === 'ragged')) return []
  if (kind === 'LeakyReLU' && key === 'negative_slope') return [['alpha', value]]
  // Keras 2 may write the one axis of BatchNormalization as a list.
  if (kind === 'BatchNormalization' && key === 'axis' && Array.isArray(value)) return [[key, value[0]]]
  return [[key, value]]
}

function setting(key: string, value: unknown, where: string, depth: number): unknown {
  if (depth > DEEPEST) throw new Error(`${where}: settings must be nested at most ${DEEPEST} deep, got more`)
  if (key === 'dtype') return numberType(value, where)
  if (typeof value === 'string') return isActivation(key) ? (ACTIVATIONS[value] ?? value) : value
  if (Array.isArray(value)) return value.map(item => setting('', item, where, depth + 1))
  if (!isPlainObject(value)) return value
  if (typeof value.class_name !== 'string') {
    return entries(value, ([name, item]) => [[name, setting(name, item, where, depth + 1)]])
  }
  return serialized(key, value, value.class_name, where, depth)
}

/** An object with its class: an initializer, a regularizer, a layer within a layer, a tuple, a function. */
function serialized(key: string, value: JsonObject, kind: string, where: string, depth: number): unknown {
  if (kind === '__tuple__') return setting(key, value.items ?? value.config, where, depth + 1)
  if (kind === 'SeedGenerator') return null
  if (kind === 'function' || kind === '__lambda__') {
    if (kind === 'function' && typeof value.config === 'string')
      return setting(key, value.config, where, depth)
    throw new Error(`${where}: ${key} must be named, got a function of Python`)
  }
  // `kerasTopology` converts the layer, or the network, within a layer.
  if (key === 'layer' || MODELS.includes(kind)) return value
  const config = isPlainObject(value.config) ? value.config : {}
  const settings = entries(config, ([name, item]) =>
    ADDED_BY_KERAS_3.has(name)
      ? []
      : [[name, item === 'untruncated_normal' ? 'normal' : setting(name, item, where, depth + 1)]],
  )
  // Without a value for the other part, tfjs-layers would take 0.01.
  const parts = kind === 'L1' ? { l2: 0 } : kind === 'L2' ? { l1: 0 } : {}
  return { class_name: CLASSES[kind] ?? kind, config: { ...parts, ...settings } }
}

/** tfjs has a single floating-point type: float32 replaces those with fewer or more bits. */
function numberType(value: unknown, where: string): unknown {
  const name = isPlainObject(value) && isPlainObject(value.config) ? value.config.name : value
  if (typeof name !== 'string') return name ?? null
  if (/_from_/.test(name)) throw new Error(`${where}: weights must be floats, got the type ${shown(name)}`)
  return /^(mixed_)?b?float\d+$/.test(name) ? 'float32' : name
}

function isActivation(key: string): boolean {
  return key === 'activation' || key === 'recurrent_activation'
}

/** A new object of the changed entries; an entry named `__proto__` is treated like any other. */
function entries(
  of: JsonObject,
  change: (entry: readonly [string, unknown]) => readonly (readonly [string, unknown])[],
): JsonObject {
  return Object.fromEntries(Object.entries(of).flatMap(change))
}
