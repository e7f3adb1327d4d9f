/** A graphics card as a browser, or Dawn in Node, tells of it. */
export interface Adapter {
  /** Vendor, architecture and device, as far as they are told. */
  readonly name: string
  /** Name and version of its driver, where they are told. */
  readonly driver?: string
  /** Whether the processor computes in its place. */
  readonly isSoftware: boolean
  /**
   * Whether it has numbers of 16 bits for those who ask for them (WebGPU), or has no others (WebGL). This library computes in
   * float32 on all.
   */
  readonly float16: boolean
  /** By their names in WebGPU or WebGL; sizes of memory in bytes. */
  readonly limits: Readonly<Record<string, number>>
}

/** What is read of a `GPUAdapter`. */
export interface WebGpuAdapter {
  readonly info: {
    readonly vendor: string
    readonly architecture: string
    readonly device: string
    readonly description: string
    readonly isFallbackAdapter?: boolean
  }
  readonly features: { has(name: string): boolean }
  readonly limits: unknown
}

/** The limits that decide which tensors and kernels a device takes. */
const telling = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupStorageSize',
  'maxStorageBuffersPerShaderStage',
]

/** What an adapter of WebGPU is and can take. */
export function adapterOf({ info, features, limits }: WebGpuAdapter): Adapter {
  const { vendor, architecture, device, description } = info
  const name = [vendor, architecture, device].filter(Boolean).join(' ')
  const all = limits as Readonly<Record<string, number>>
  return {
    name: name || 'an adapter without a name',
    ...(description && { driver: description }),
    isSoftware: info.isFallbackAdapter === true || isSoftwareName(`${name} ${description}`),
    float16: features.has('shader-f16'),
    limits: Object.fromEntries(telling.map(limit => [limit, all[limit] ?? Number.NaN])),
  }
}

/** Whether this is the name of a program that computes in a card's place. */
export function isSoftwareName(name: string): boolean {
  return /swiftshader|llvmpipe|softpipe|lavapipe|basic render|software/i.test(name)
}

/** Name and driver. */
export function adapterText({ name, driver }: Adapter): string {
  return driver === undefined ? name : `${name}, ${driver}`
}
