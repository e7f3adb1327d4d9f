import type * as tf from '@tensorflow/tfjs-core'
import { biasedConvolutionName, biasedKernelGradientName, rectifiedNormName } from './onednn.js'
import type { Attribute, NativeBackend, OutputMetadata, TensorData } from './operations.js'

/** TensorFlow's numbers of the two types. */
const FLOAT = 1
const BFLOAT16 = 14

/** How an operation computes in bfloat16. */
interface Reduced {
  /** Which of its inputs are then in bfloat16. */
  readonly inputs: readonly number[]
  /** Always (the factors of products), or only where one of these inputs is stored in bfloat16 already. */
  readonly when: 'always' | 'stored'
  /** Whether its first output stays in bfloat16; else it is cast to float32. */
  readonly stores: boolean
  /** Further outputs that come in bfloat16 and are cast to float32; the others are float32 already. */
  readonly casts?: readonly number[]
}

/**
 * The operations that know bfloat16: feature maps and their derivatives pass through them in two bytes a number.
 * Everything else is given float32, as are all weights, statistics and derivatives by weights. Operations that sum many
 * numbers are here only where TensorFlow sums them in float32: `BiasAddGrad` does not.
 */
const OPERATIONS: ReadonlyMap<string, Reduced> = new Map([
  ['Conv2D', { inputs: [0, 1], when: 'always', stores: true }],
  [biasedConvolutionName, { inputs: [0, 1, 2], when: 'always', stores: true }],
  ['Conv2DBackpropInput', { inputs: [1, 2], when: 'always', stores: true }],
  ['Conv2DBackpropFilter', { inputs: [0, 2], when: 'always', stores: false }],
  [biasedKernelGradientName, { inputs: [0, 2], when: 'always', stores: false, casts: [1] }],
  ['BatchMatMulV2', { inputs: [0, 1], when: 'always', stores: false }],
  ['FusedBatchNormV3', { inputs: [0], when: 'stored', stores: true }],
  [rectifiedNormName, { inputs: [0], when: 'stored', stores: true }],
  ['FusedBatchNormGradV3', { inputs: [0, 1], when: 'stored', stores: true }],
  ['Relu', { inputs: [0], when: 'stored', stores: true }],
  ['ReluGrad', { inputs: [0, 1], when: 'stored', stores: true }],
  ['Add', { inputs: [0, 1], when: 'stored', stores: true }],
  ['MaxPool', { inputs: [0], when: 'stored', stores: true }],
  ['MaxPoolGrad', { inputs: [0, 1, 2], when: 'stored', stores: true }],
  ['Reshape', { inputs: [0], when: 'stored', stores: true }],
  ['Slice', { inputs: [0], when: 'stored', stores: true }],
  ['StridedSlice', { inputs: [0], when: 'stored', stores: true }],
  ['PadV2', { inputs: [0, 2], when: 'stored', stores: true }],
  ['GatherV2', { inputs: [0], when: 'stored', stores: true }],
  ['GatherNd', { inputs: [0], when: 'stored', stores: false }],
])

/** Attributes that name the type of the inputs. */
const TYPE_ATTRIBUTES = new Set(['T', 'Tparams'])

/** The methods of the backend that {@link Bfloat16Storage} stands in for. */
const METHODS = [
  'executeSingleOutput',
  'executeMultipleOutputs',
  'getInputTensorIds',
  'readSync',
  'disposeData',
] as const

/**
 * Has a backend compute products in bfloat16 and keep feature maps in it. tfjs has no such type and takes these tensors for
 * float32, so they are converted when they are read, and for every operation outside the table.
 */
export class Bfloat16Storage {
  private readonly backend: NativeBackend
  private readonly methods: Pick<NativeBackend, (typeof METHODS)[number]>
  /** What tfjs-node knows of each tensor that is stored in bfloat16, by the id of its handle. */
  private readonly stored = new Map<number, TensorData>()
  /** Id of the bfloat16 copy by the id of the float32 tensor: derivatives and weights are used two or three times. */
  private readonly copies = new Map<number, number>()
  private exactDepth = 0

  constructor(backend: NativeBackend) {
    this.backend = backend
    this.methods = {
      executeSingleOutput: backend.executeSingleOutput.bind(backend),
      executeMultipleOutputs: backend.executeMultipleOutputs.bind(backend),
      getInputTensorIds: backend.getInputTensorIds.bind(backend),
      readSync: backend.readSync.bind(backend),
      disposeData: backend.disposeData.bind(backend),
    }
    backend.executeSingleOutput = (name, attributes, inputs) =>
      this.execute(name, attributes, inputs, 1)[0] as tf.Tensor
    backend.executeMultipleOutputs = (name, attributes, inputs, outputs) =>
      this.execute(name, attributes, inputs, outputs)
    backend.getInputTensorIds = inputs => this.methods.getInputTensorIds(inputs).map(id => this.widen(id))
    backend.readSync = dataId => {
      if (backend.tensorMap.has(dataId)) this.widen(backend.tensorMap.get(dataId).id)
      return this.methods.readSync(dataId)
    }
    backend.disposeData = (dataId, force = false) => {
      this.forget(dataId, force)
      return this.methods.disposeData(dataId, force)
    }
  }

  /** Gives the backend its own methods back, which its prototype holds, and stores every tensor in float32 again. */
  remove(): void {
    for (const id of [...this.stored.keys()]) this.widen(id)
    for (const copy of this.copies.values()) this.backend.binding.deleteTensor(copy)
    this.copies.clear()
    for (const method of METHODS) Reflect.deleteProperty(this.backend, method)
  }

  /** Runs `compute` with every operation in float32. */
  exactly<T>(compute: () => T): T {
    this.exactDepth++
    try {
      return compute()
    } finally {
      this.exactDepth--
    }
  }

  /** Handles that exist beyond those of tfjs's own tensors. */
  get numCopies(): number {
    return this.copies.size
  }

  /** Tensors that are stored in bfloat16. */
  get numStored(): number {
    return this.stored.size
  }

  private execute(name: string, attributes: Attribute[], inputs: tf.Tensor[], outputs: number): tf.Tensor[] {
    const ids = this.methods.getInputTensorIds(inputs)
    const reduced = this.reducedFor(name, inputs, ids)
    if (!reduced) return this.executeWide(name, attributes, ids, outputs)
    const types = attributes.map(one => (TYPE_ATTRIBUTES.has(one.name) ? { ...one, value: BFLOAT16 } : one))
    const inputIds = ids.map((id, at) => (reduced.inputs.includes(at) ? this.narrow(id) : id))
    return this.backend.binding.executeOp(name, types, inputIds, outputs).map((one, at) => {
      const isReduced = at === 0 || reduced.casts?.includes(at)
      return isReduced ? this.output(one, at === 0 && reduced.stores) : this.float(one)
    })
  }

  private reducedFor(name: string, inputs: tf.Tensor[], ids: number[]): Reduced | undefined {
    const reduced = this.exactDepth > 0 ? undefined : OPERATIONS.get(name)
    if (!reduced || reduced.inputs.some(at => inputs[at]?.dtype !== 'float32')) return undefined
    const applies = reduced.when === 'always' || reduced.inputs.some(at => this.stored.has(ids[at] as number))
    return applies ? reduced : undefined
  }

  /** Runs an operation on float32 copies of its bfloat16 inputs, which are freed afterwards. */
  private executeWide(name: string, attributes: Attribute[], ids: number[], outputs: number): tf.Tensor[] {
    const { binding } = this.backend
    const temporary = new Map(
      ids.filter(id => this.stored.has(id)).map(id => [id, this.cast(id, BFLOAT16, FLOAT).id]),
    )
    try {
      const inputIds = ids.map(id => temporary.get(id) ?? id)
      return binding.executeOp(name, attributes, inputIds, outputs).map(one => this.float(one))
    } finally {
      for (const id of temporary.values()) binding.deleteTensor(id)
    }
  }

  private float(metadata: OutputMetadata): tf.Tensor {
    return this.backend.createOutputTensor(metadata)
  }

  /** A bfloat16 result, kept as it is or cast to float32. */
  private output(metadata: OutputMetadata, stores: boolean): tf.Tensor {
    if (stores) {
      const tensor = this.float({ ...metadata, dtype: FLOAT })
      this.stored.set(metadata.id, this.backend.tensorMap.get(tensor.dataId))
      return tensor
    }
    const wide = this.cast(metadata.id, BFLOAT16, FLOAT)
    this.backend.binding.deleteTensor(metadata.id)
    return this.float(wide)
  }

  /** The bfloat16 handle of a tensor, or of its copy. */
  private narrow(id: number): number {
    if (this.stored.has(id)) return id
    const existing = this.copies.get(id)
    if (existing !== undefined) return existing
    const copy = this.cast(id, FLOAT, BFLOAT16).id
    this.copies.set(id, copy)
    return copy
  }

  /** Stores a tensor in float32 from here on. */
  private widen(id: number): number {
    const data = this.stored.get(id)
    if (!data) return id
    data.id = this.cast(id, BFLOAT16, FLOAT).id
    this.stored.delete(id)
    this.backend.binding.deleteTensor(id)
    return data.id
  }

  /** Notes that a tensor is about to be freed, and frees its copy. */
  private forget(dataId: object, force: boolean): void {
    const { tensorMap, binding } = this.backend
    if (!tensorMap.has(dataId)) return
    const { id, refCount } = tensorMap.get(dataId)
    if (refCount > 1 && !force) return
    this.stored.delete(id)
    const copy = this.copies.get(id)
    if (copy === undefined) return
    this.copies.delete(id)
    binding.deleteTensor(copy)
  }

  private cast(id: number, from: number, to: number): OutputMetadata {
    const { TF_ATTR_TYPE, TF_ATTR_BOOL } = this.backend.binding
    const attributes = [
      { name: 'SrcT', type: TF_ATTR_TYPE, value: from },
      { name: 'DstT', type: TF_ATTR_TYPE, value: to },
      { name: 'Truncate', type: TF_ATTR_BOOL, value: false },
    ]
    return this.backend.binding.executeOp('Cast', attributes, [id], 1)[0] as OutputMetadata
  }
}
