import * as z from 'zod'
import { isPlainObject, isPrototypeName, shown } from './json-value.js'

/** An entry of a list of weights, as far as it tells the bytes of the weight. */
export interface WeightEntry {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: string
  readonly quantization?: { readonly dtype?: string | undefined } | undefined
}

/** A well-formed `model.json`; its topology is not checked. */
export interface ModelJson {
  readonly modelTopology: Readonly<Record<string, unknown>>
  readonly weightsManifest?: readonly {
    readonly paths: readonly string[]
    readonly weights: readonly WeightEntry[]
  }[]
}

const DEEPEST = 200
const BYTES: Readonly<Record<string, number>> = {
  float32: 4,
  int32: 4,
  bool: 1,
  complex64: 8,
  uint8: 1,
  uint16: 2,
  float16: 2,
}

const quantization = z.union([
  z.looseObject({ dtype: z.enum(['uint8', 'uint16']), scale: z.number(), min: z.number() }),
  z.looseObject({ dtype: z.literal('float16') }),
])

const weight = z.looseObject({
  name: z
    .string()
    .min(1)
    .refine(name => !isPrototypeName(name), 'must not be the name of a property of every object'),
  shape: z.array(z.int().min(0)).max(32),
  dtype: z.enum(['float32', 'int32', 'bool', 'complex64', 'string']),
  quantization: quantization.optional(),
})

const manifest = z.array(
  z.object({
    paths: z.array(z.string()).min(1),
    weights: z.array(weight),
    /** SHA-256 of the bytes of these weights, in hexadecimal digits; absent from models that other programs saved. */
    sha256: z.string().optional(),
  }),
)

const modelJson = z.looseObject({
  modelTopology: z.looseObject({}),
  weightsManifest: manifest.optional(),
  userDefinedMetadata: z.looseObject({}).nullish(),
  trainingConfig: z.looseObject({}).nullish(),
})

/**
 * Reads the text of a `model.json` of tfjs and checks its form; its topology is not checked.
 *
 * @param where function and file, for errors
 * @throws Error if it is not JSON, does not describe a layers model (the message says so of a graph model), or lists
 *   weights that are not possible
 */
export function parseModelJson(text: string, where: string): ModelJson {
  const value = parsed(text, where)
  checkDepth(value, where)
  refuseGraphModel(value, where)
  const checked = modelJson.safeParse(value)
  if (!checked.success) throw new Error(`${where} must describe a model, got: ${firstIssue(checked.error)}`)
  checkWeightNames(
    (checked.data.weightsManifest ?? []).flatMap(({ weights }) => weights),
    where,
  )
  return value as ModelJson
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error(`${where} must be JSON, got ${text.length} characters: ${(cause as Error).message}`, {
      cause,
    })
  }
}

function firstIssue(error: z.ZodError): string {
  const [issue] = error.issues
  return `${issue?.path.join('.') || 'the whole'}: ${issue?.message}`
}

/** @throws Error if values are nested so deep that recursive functions would overflow the stack */
export function checkDepth(value: unknown, where: string): void {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEEPEST) throw new Error(`${where} must be nested at most ${DEEPEST} deep, got more`)
    level = level.flatMap(item => (typeof item === 'object' && item !== null ? Object.values(item) : []))
  }
}

/** @throws Error if the value is what tfjs calls a graph model: operations instead of layers */
export function refuseGraphModel(value: unknown, where: string): void {
  if (!isPlainObject(value)) return
  const topology = value.modelTopology
  const hasNodes = isPlainObject(topology) && Array.isArray(topology.node)
  if (value.format !== 'graph-model' && !hasNodes) return
  throw new Error(
    `${where} must be a layers model, got a graph model: it holds operations, not layers that can be trained or ` +
      'changed. Convert the Keras model again with --output_format tfjs_layers_model, or give the .keras or .h5 file to pmoe import',
  )
}

/** @throws Error naming the first name that two weights share */
export function checkWeightNames(weights: readonly { readonly name: string }[], where: string): void {
  const names = new Set<string>()
  for (const { name } of weights) {
    if (names.has(name)) throw new Error(`${where} must name each weight once, got ${shown(name)} twice`)
    names.add(name)
  }
}

/** The bytes of weights in their file; undefined if one holds strings, whose lengths are not listed. */
export function weightBytes(weights: readonly WeightEntry[]): number | undefined {
  let bytes = 0
  for (const { shape, dtype, quantization } of weights) {
    const bytesPerValue = BYTES[quantization?.dtype ?? dtype]
    if (bytesPerValue === undefined) return undefined
    bytes += shape.reduce((product, side) => product * side, bytesPerValue)
  }
  return bytes
}
