/**
 * PatchMoE and PatchGate as plain loops over float64 numbers, written from the definition and sharing nothing with the
 * library: the yardstick of its tests.
 */

export interface BruteForceRule {
  readonly numExperts: number
  readonly patchesPerExpert: number
  readonly patch: readonly [number, number]
  readonly kernel: readonly [number, number]
  readonly filters: number
  readonly border: 'zero' | 'halo'
  readonly gate: 'softmax-selected' | 'softmax-all' | 'uniform'
  readonly gateScale: 'mean-one' | 'none'
  readonly preActivation: 'none' | 'relu' | 'batch-norm-relu'
  readonly activation?: (value: number) => number
  readonly epsilon: number
}

export interface BruteForceInputs {
  readonly shape: readonly [number, number, number, number]
  readonly x: Float64Array
  readonly router: Float64Array
  readonly kernel: Float64Array
  readonly bias?: Float64Array
  readonly gamma?: Float64Array
  readonly beta?: Float64Array
  /** Given: inference with these statistics. Absent: the kept patches' own. */
  readonly movingMean?: Float64Array
  readonly movingVariance?: Float64Array
}

/** Kept patches, best first, and gates, as [batch][expert][kept]. */
export interface BruteForceRouting {
  readonly indices: number[][][]
  readonly gates: number[][][]
}

export function bruteForceRoute(inputs: BruteForceInputs, rule: BruteForceRule): BruteForceRouting {
  const [batch, height, width, channels] = inputs.shape
  const [h, w] = rule.patch
  const across = width / w
  const patches = (height / h) * across
  const indices: number[][][] = []
  const gates: number[][][] = []
  for (let b = 0; b < batch; b++) {
    indices.push([])
    gates.push([])
    for (let s = 0; s < rule.numExperts; s++) {
      const scores: number[] = []
      for (let n = 0; n < patches; n++) {
        let score = 0
        for (let i = 0; i < h; i++)
          for (let j = 0; j < w; j++)
            for (let c = 0; c < channels; c++) {
              const y = Math.floor(n / across) * h + i
              const z = (n % across) * w + j
              const at = ((b * height + y) * width + z) * channels + c
              score += inputs.x[at]! * inputs.router[((i * w + j) * channels + c) * rule.numExperts + s]!
            }
        scores.push(score)
      }
      const order = scores.map((_, n) => n).sort((p, q) => scores[q]! - scores[p]! || p - q)
      const kept = order.slice(0, rule.patchesPerExpert)
      const over = rule.gate === 'softmax-all' ? order : kept
      const total = over.reduce((sum, n) => sum + Math.exp(scores[n]!), 0)
      const scale = rule.gateScale === 'none' ? 1 : over.length
      indices[b]!.push(kept)
      gates[b]!.push(kept.map(n => (rule.gate === 'uniform' ? 1 : (scale * Math.exp(scores[n]!)) / total)))
    }
  }
  return { indices, gates }
}

export function bruteForcePatchMoE(
  inputs: BruteForceInputs,
  rule: BruteForceRule,
): { y: Float64Array; mean: number[][]; variance: number[][] } {
  const [batch, height, width, channels] = inputs.shape
  const [h, w] = rule.patch
  const [kh, kw] = rule.kernel
  const across = width / w
  const own = rule.filters / rule.numExperts
  const routing = bruteForceRoute(inputs, rule)
  const pixel = (b: number, y: number, z: number, c: number) =>
    inputs.x[((b * height + y) * width + z) * channels + c]!
  const y = new Float64Array(batch * height * width * rule.filters)
  const means: number[][] = []
  const variances: number[][] = []
  for (let s = 0; s < rule.numExperts; s++) {
    const { mean, variance } = statistics(s)
    means.push(mean)
    variances.push(variance)
    for (let b = 0; b < batch; b++)
      routing.indices[b]![s]!.forEach((n, rank) => {
        const top = Math.floor(n / across) * h
        const left = (n % across) * w
        for (let i = 0; i < h; i++)
          for (let j = 0; j < w; j++)
            for (let f = s * own; f < (s + 1) * own; f++) {
              let sum = inputs.bias ? inputs.bias[f]! : 0
              for (let p = 0; p < kh; p++)
                for (let q = 0; q < kw; q++) {
                  const row = i + p - (kh - 1) / 2
                  const column = j + q - (kw - 1) / 2
                  const inPatch = row >= 0 && row < h && column >= 0 && column < w
                  const inMap =
                    top + row >= 0 && top + row < height && left + column >= 0 && left + column < width
                  if (!(rule.border === 'zero' ? inPatch : inMap)) continue
                  for (let c = 0; c < channels; c++) {
                    const value = before(pixel(b, top + row, left + column, c), s, c, mean, variance)
                    sum += value * inputs.kernel[((p * kw + q) * channels + c) * rule.filters + f]!
                  }
                }
              const out = rule.activation ? rule.activation(sum) : sum
              y[((b * height + top + i) * width + left + j) * rule.filters + f] =
                out * routing.gates[b]![s]![rank]!
            }
      })
  }
  return { y, mean: means, variance: variances }

  function before(value: number, s: number, c: number, mean: number[], variance: number[]): number {
    if (rule.preActivation === 'none') return value
    if (rule.preActivation === 'relu') return Math.max(value, 0)
    const at = s * channels + c
    const normal = (value - mean[c]!) / Math.sqrt(variance[c]! + rule.epsilon)
    return Math.max(normal * inputs.gamma![at]! + inputs.beta![at]!, 0)
  }

  function statistics(s: number): { mean: number[]; variance: number[] } {
    const mean: number[] = []
    const variance: number[] = []
    for (let c = 0; c < channels; c++) {
      const values: number[] = []
      for (let b = 0; b < batch; b++)
        for (const n of routing.indices[b]![s]!)
          for (let i = 0; i < h; i++)
            for (let j = 0; j < w; j++)
              values.push(pixel(b, Math.floor(n / across) * h + i, (n % across) * w + j, c))
      const average = values.reduce((sum, value) => sum + value, 0) / values.length
      mean.push(inputs.movingMean ? inputs.movingMean[s * channels + c]! : average)
      const spread = values.reduce((sum, value) => sum + (value - average) ** 2, 0) / values.length
      variance.push(inputs.movingVariance ? inputs.movingVariance[s * channels + c]! : spread)
    }
    return { mean, variance }
  }
}

/** The masking gate: x times the gate of its patch, 0 on patches that are not kept. */
export function bruteForcePatchGate(
  inputs: Pick<BruteForceInputs, 'shape' | 'x' | 'router'>,
  rule: Pick<BruteForceRule, 'patchesPerExpert' | 'patch' | 'gate' | 'gateScale'>,
): Float64Array {
  const [batch, height, width, channels] = inputs.shape
  const [h, w] = rule.patch
  const routing = bruteForceRoute(
    { ...inputs, kernel: new Float64Array() },
    { ...rule, numExperts: 1, kernel: [1, 1], filters: 1, border: 'zero', preActivation: 'none', epsilon: 0 },
  )
  const y = new Float64Array(inputs.x.length)
  for (let b = 0; b < batch; b++)
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++) {
        const n = Math.floor(row / h) * (width / w) + Math.floor(column / w)
        const rank = routing.indices[b]![0]!.indexOf(n)
        if (rank < 0) continue
        for (let c = 0; c < channels; c++) {
          const at = ((b * height + row) * width + column) * channels + c
          y[at] = inputs.x[at]! * routing.gates[b]![0]![rank]!
        }
      }
  return y
}

/** Central differences of sum(f(values) * cotangent) by every number of `values`. */
export function centralDifferences(
  values: Float64Array,
  f: (values: Float64Array) => Float64Array,
  cotangent: Float64Array,
  step = 1e-5,
): Float64Array {
  const gradient = new Float64Array(values.length)
  const loss = (moved: Float64Array) => f(moved).reduce((sum, value, i) => sum + value * cotangent[i]!, 0)
  for (let i = 0; i < values.length; i++) {
    const up = values.slice()
    const down = values.slice()
    up[i]! += step
    down[i]! -= step
    gradient[i] = (loss(up) - loss(down)) / (2 * step)
  }
  return gradient
}
