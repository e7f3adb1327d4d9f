import * as tf from '@tensorflow/tfjs-core'

/** A number that a program is told with each dispatch. */
export interface Uniform {
  readonly type: 'i32' | 'f32'
  readonly value: number
}

/** A buffer that a program reads or writes, by the name that it has in the code. */
export interface ProgramBuffer {
  readonly name: string
  readonly tensor: tf.TensorInfo
}

/** A computation in WGSL, written for this library: unlike tfjs's programs it may write several tensors, and ones that are there. */
export interface DeviceProgram {
  /** Of the computation, as counters and messages show it. */
  readonly name: string
  /** What the code depends on besides the name, the buffers' kinds and the uniforms' names. */
  readonly variant?: string
  /** One or more; none of them is among those that are read. */
  readonly written: readonly ProgramBuffer[]
  readonly read: readonly ProgramBuffer[]
  readonly uniforms: Readonly<Record<string, Uniform>>
  /** Invocations of a workgroup, 256 at most in all, which every device allows. */
  readonly workgroupSize: readonly [x: number, y: number]
  readonly workgroups: readonly [x: number, y: number, z: number]
  /**
   * Declarations for the module, and the body of its entry point. Buffers have the names given, uniforms are `uniforms.NAME`;
   * `nameAt(index)` reads a buffer as the type of its tensor. All buffers and one uniform must be used. Written when the program is
   * compiled, once for each variant.
   */
  declarations?(): string
  body(): string
}

/** Whole numbers as uniforms. */
export function wholeNumbers(values: Readonly<Record<string, number>>): Record<string, Uniform> {
  return uniformsOf(values, 'i32')
}

/** Floats as uniforms. */
export function floats(values: Readonly<Record<string, number>>): Record<string, Uniform> {
  return uniformsOf(values, 'f32')
}

function uniformsOf(
  values: Readonly<Record<string, number>>,
  type: Uniform['type'],
): Record<string, Uniform> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { type, value }]))
}

/** Invocations of a workgroup that computes numbers one by one. */
const FLAT = 256

/** The parts of tfjs's WebGPU backend that run a program. */
interface ProgramBackend {
  readonly device: {
    readonly limits: DeviceLimits
    createShaderModule(descriptor: { readonly code: string; readonly label: string }): object
    createComputePipeline(descriptor: object): object
  }
  readonly pipelineCache: Record<string, object>
  readonly tensorMap: { get(dataId: object): TensorData }
  uploadToGPU(dataId: object): void
  makeTensorInfo(shape: readonly number[], dtype: tf.DataType): tf.TensorInfo
  refCount(dataId: object): number
  disposeData(dataId: object): boolean
  shouldExecuteOnCPU(inputs: readonly tf.TensorInfo[]): boolean
  recordAndSubmit(
    program: object,
    output: tf.TensorInfo,
    inputs: readonly tf.TensorInfo[],
    uniforms: readonly { readonly type: 'int32' | 'float32'; readonly data: number[] }[],
  ): void
}

interface TensorData {
  /** Of the buffer; a cast to float32 leaves whole numbers there. */
  readonly dtype: tf.DataType
  /** On the host; null or undefined where the device has newer ones. */
  values: tf.BackendValues | null | undefined
}

/** What a device allows. */
interface DeviceLimits {
  readonly maxStorageBuffersPerShaderStage: number
  readonly maxComputeWorkgroupsPerDimension: number
}

/** What the device allows, on which the current backend computes. */
export function deviceLimits(): DeviceLimits {
  return currentBackend().device.limits
}

/** A tensor that a program is to write, of at least one number. */
export function newTensor(shape: readonly number[], dtype: 'float32' | 'int32' = 'float32'): tf.TensorInfo {
  return currentBackend().makeTensorInfo([...shape], dtype)
}

/** Tensors that a program is to write, named by their place: `sums0`, `sums1`, ... */
export function numberedTensors(name: string, shapes: readonly (readonly number[])[]): ProgramBuffer[] {
  return shapes.map((shape, i) => ({ name: `${name}${i}`, tensor: newTensor(shape) }))
}

/** Frees tensors that the engine does not know. */
export function release(tensors: readonly tf.TensorInfo[]): void {
  for (const { dataId } of tensors) currentBackend().disposeData(dataId)
}

/** What a program wrote, as a tensor of the engine. */
export function asTensor<T extends tf.Tensor>(info: tf.TensorInfo): T {
  return tf.engine().makeTensorFromTensorInfo(info, tf.backend()) as T
}

/** Whether tfjs would compute with a tensor on the host, which has it, and which the device does not. */
export function isOnHost(tensor: tf.TensorInfo): boolean {
  return currentBackend().shouldExecuteOnCPU([tensor])
}

/** Whether the numbers of a tensor are floats on the device, and no other tensor shares them. */
export function isWritable(tensor: tf.TensorInfo): boolean {
  const backend = currentBackend()
  return backend.refCount(tensor.dataId) === 1 && backend.tensorMap.get(tensor.dataId).dtype === 'float32'
}

/** The numbers of a tensor, where the host has them. */
export function hostValues(tensor: tf.TensorInfo): ArrayLike<number> | undefined {
  return (currentBackend().tensorMap.get(tensor.dataId).values ?? undefined) as ArrayLike<number> | undefined
}

/** How often a workgroup of {@link flatSize} must run so that there is an invocation for each of `count` numbers. */
export function flatWorkgroups(count: number): [number, number, number] {
  const groups = Math.ceil(count / FLAT)
  const across = Math.min(groups, deviceLimits().maxComputeWorkgroupsPerDimension)
  return [across, Math.ceil(groups / across), 1]
}

/** The workgroup of programs that compute numbers one by one: `flatIndex` is the number's. */
export const flatSize = [FLAT, 1] as const

/**
 * Runs a program on the current backend, which must be `webgpu`.
 *
 * @throws RangeError when a dispatch is larger than the device allows, or needs more buffers
 */
export function runProgram(program: DeviceProgram): void {
  checkLimits(program)
  const backend = currentBackend()
  const buffers = [...program.written, ...program.read]
  for (const { tensor } of buffers) backend.uploadToGPU(tensor.dataId)
  const kinds = buffers.map(({ tensor }) => backend.tensorMap.get(tensor.dataId).dtype)
  const key = keyOf(program, kinds)
  backend.pipelineCache[key] ??= compile(program, kinds)
  // The host must not answer with numbers of before.
  for (const { tensor } of program.written) backend.tensorMap.get(tensor.dataId).values = null
  const [output, ...others] = buffers.map(({ tensor }) => flat(tensor)) as [tf.TensorInfo, ...tf.TensorInfo[]]
  const uniforms = Object.values(program.uniforms).map(({ type, value }) => ({
    type: type === 'i32' ? ('int32' as const) : ('float32' as const),
    data: [value],
  }))
  const recorded = {
    pipeline: backend.pipelineCache[key],
    dispatch: program.workgroups,
    constructor: { name: program.name },
  }
  backend.recordAndSubmit(recorded, output, others, uniforms)
}

function checkLimits({ name, workgroups, written, read }: DeviceProgram): void {
  const { maxComputeWorkgroupsPerDimension: most, maxStorageBuffersPerShaderStage: mostBuffers } =
    deviceLimits()
  if (workgroups.some(count => count > most)) {
    throw new RangeError(
      `WebGPU: ${name} must have at most ${most} workgroups along each axis on this device, got ${workgroups.join(' x ')} (a smaller batch or image needs fewer)`,
    )
  }
  const buffers = written.length + read.length
  if (buffers <= mostBuffers) return
  throw new RangeError(
    `WebGPU: ${name} must have at most ${mostBuffers} buffers on this device, got ${buffers}`,
  )
}

function keyOf(
  { name, variant = '', written, workgroupSize }: DeviceProgram,
  kinds: readonly string[],
): string {
  return ['patch-moe', name, variant, written.length, kinds.join(), workgroupSize.join()].join(' ')
}

function compile(program: DeviceProgram, kinds: readonly tf.DataType[]): object {
  const { device } = currentBackend()
  const label = program.name
  const module = device.createShaderModule({ code: codeOf(program, kinds), label })
  return device.createComputePipeline({ compute: { module, entryPoint: 'start' }, label, layout: 'auto' })
}

function codeOf(program: DeviceProgram, kinds: readonly tf.DataType[]): string {
  const { written, read, uniforms, workgroupSize } = program
  const buffers = [...written, ...read]
  // What tfjs tells every program comes first: two constants, then the length and the stride of each buffer.
  const lengths = [...read, ...written].map((_, i) => `length${i}: i32, stride${i}: i32,`)
  const own = Object.entries(uniforms).map(([name, { type }]) => `${name}: ${type},`)
  const declared = buffers.map(({ name, tensor }, i) => {
    const type = elementType(kinds[i] as tf.DataType)
    const access = i < written.length ? 'read_write' : 'read'
    const asked = elementType(tensor.dtype)
    const reader = `fn ${name}At(i: i32) -> ${asked} { return ${asked}(${name}[i]); }`
    return `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${type}>;\n${reader}`
  })
  return `
struct Uniforms { nan: f32, infinity: f32, ${lengths.join(' ')} ${own.join(' ')} }
${declared.join('\n')}
@group(0) @binding(${buffers.length}) var<uniform> uniforms: Uniforms;
fn isNan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
${program.declarations?.() ?? ''}
@compute @workgroup_size(${workgroupSize.join()}, 1)
fn start(@builtin(local_invocation_id) localId: vec3<u32>, @builtin(workgroup_id) groupId: vec3<u32>,
         @builtin(num_workgroups) groups: vec3<u32>) {
  let flatIndex = i32((groupId.y * groups.x + groupId.x) * ${FLAT}u + localId.x);
  ${program.body()}
}`
}

function elementType(dtype: tf.DataType): 'f32' | 'i32' {
  return dtype === 'float32' ? 'f32' : 'i32'
}

/** The same tensor as a vector. */
function flat(tensor: tf.TensorInfo): tf.TensorInfo {
  return {
    ...tensor,
    dataId: tensor.dataId,
    shape: [tf.util.sizeFromShape(tensor.shape)],
    dtype: tensor.dtype,
  }
}

function currentBackend(): ProgramBackend {
  return tf.backend() as unknown as ProgramBackend
}
