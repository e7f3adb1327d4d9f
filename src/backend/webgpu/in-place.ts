import * as tf from '@tensorflow/tfjs-core'
import {
  deviceLimits,
  flatSize,
  flatWorkgroups,
  isWritable,
  type ProgramBuffer,
  runProgram,
  type Uniform,
} from './device-program.js'

/** Variables of one size that are changed number by number, from each other and from tensors. */
export interface InPlaceRow {
  /** By the names that they have in the code; a tensor among them must be writable, as {@link isWritable} says. */
  readonly variables: Readonly<Record<string, tf.Tensor>>
  readonly tensors: Readonly<Record<string, tf.Tensor>>
  /** Numbers of this row alone, by name. */
  readonly numbers: Readonly<Record<string, number>>
}

/** A change of variables where they lie, the same for all rows. */
export interface InPlaceChange {
  /** Of the computation, as counters show it; one for each code. */
  readonly name: string
  /** All with the same names. */
  readonly rows: readonly InPlaceRow[]
  /** Tensors of all rows, whose numbers are `NAMEAt(i)`. */
  readonly shared?: Readonly<Record<string, tf.Tensor>>
  /** Numbers of all rows, as `uniforms.NAME`. */
  readonly uniforms: Readonly<Record<string, Uniform>>
  /** WGSL that assigns to the variables' names; tensors and the row's numbers have their names, too. */
  readonly code: string
}

/**
 * Changes variables where they lie, as many in one dispatch as the device has buffers for. What shares its numbers with another
 * tensor is copied first, so that only the variable changes.
 */
export function changeInPlace({ rows, shared = {}, ...change }: InPlaceChange): void {
  const filled = rows.filter(({ variables }) => sizeOf(variables) > 0)
  const [example] = filled
  if (!example) return
  const buffers = Object.keys({ ...example.variables, ...example.tensors }).length
  const together = rowsTogether(buffers, Object.keys(shared).length)
  for (const { variables } of filled) for (const one of Object.values(variables)) ownNumbers(one)
  for (let from = 0; from < filled.length; from += together)
    dispatchChange({ ...change, shared, rows: filled.slice(from, from + together) })
}

/** How many rows of so many buffers one dispatch changes, besides buffers that all rows share. */
export function rowsTogether(buffers: number, shared: number): number {
  return Math.max(1, Math.floor((deviceLimits().maxStorageBuffersPerShaderStage - shared) / buffers))
}

function dispatchChange({ name, rows, shared = {}, uniforms, code }: InPlaceChange): void {
  const all = { ...uniforms }
  const written: ProgramBuffer[] = []
  const read: ProgramBuffer[] = Object.entries(shared).map(([input, tensor]) => ({ name: input, tensor }))
  for (const [i, { variables, tensors, numbers }] of rows.entries()) {
    all[`size${i}`] = { type: 'i32', value: sizeOf(variables) }
    for (const [number, value] of Object.entries(numbers)) all[`${number}${i}`] = { type: 'f32', value }
    for (const [variable, tensor] of Object.entries(variables))
      written.push({ name: `${variable}${i}`, tensor })
    for (const [input, tensor] of Object.entries(tensors)) read.push({ name: `${input}${i}`, tensor })
    for (const { dataId } of Object.values(variables)) changes.set(dataId, (changes.get(dataId) ?? 0) + 1)
  }
  runProgram({
    name,
    variant: `${rows.length}`,
    written,
    read,
    uniforms: all,
    workgroupSize: flatSize,
    workgroups: flatWorkgroups(rows.reduce((sum, { variables }) => sum + sizeOf(variables), 0)),
    body: () => `var index = flatIndex; ${rows.map((row, i) => codeOfRow(row, i, code)).join('')}`,
  })
}

/** WGSL that changes the numbers of one row where `index`, counted through all rows, is one of its. */
function codeOfRow({ variables, tensors, numbers }: InPlaceRow, i: number, code: string): string {
  const names = Object.keys(variables)
  const declared = [
    ...names.map(name => `var ${name} = ${name}${i}[index];`),
    ...Object.keys(tensors).map(name => `let ${name} = ${name}${i}At(index);`),
    ...Object.keys(numbers).map(name => `let ${name} = uniforms.${name}${i};`),
  ]
  return `
  if (index >= 0 && index < uniforms.size${i}) {
    ${declared.join(' ')}
    ${code}
    ${names.map(name => `${name}${i}[index] = ${name};`).join(' ')}
  }
  index -= uniforms.size${i};`
}

/** Gives a variable numbers that no other tensor shares. */
function ownNumbers(variable: tf.Tensor): void {
  if (isWritable(variable) || !(variable instanceof tf.Variable)) return
  const copy = tf.tidy(() => tf.mul(variable, 1))
  variable.assign(copy)
  copy.dispose()
}

function sizeOf(variables: InPlaceRow['variables']): number {
  return Object.values(variables)[0]?.size ?? 0
}

/** How often the numbers of a tensor were changed where they lie. */
const changes = new WeakMap<object, number>()

const kept = new WeakSet<object>()

/** The parts of tfjs's WebGPU backend that read tensors. */
interface ReadingBackend {
  read(dataId: object): Promise<unknown>
  readonly tensorMap: { has(dataId: object): boolean; get(dataId: object): { values: unknown } }
}

/**
 * Keeps tfjs from remembering what it read of a variable that has changed meanwhile: what it has read of a tensor, it does not ask
 * the device for again. A second call changes nothing.
 */
export function forgetLateReads(backend: tf.KernelBackend): void {
  if (kept.has(backend)) return
  kept.add(backend)
  const gpu = backend as unknown as ReadingBackend
  const read = gpu.read.bind(gpu)
  gpu.read = async dataId => {
    const before = changes.get(dataId)
    const values = await read(dataId)
    if (changes.get(dataId) !== before && gpu.tensorMap.has(dataId)) gpu.tensorMap.get(dataId).values = null
    return values
  }
}
