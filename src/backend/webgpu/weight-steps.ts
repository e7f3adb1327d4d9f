import type * as tf from '@tensorflow/tfjs-core'
import type { AverageForm, AverageStep, StepRule, WeightStep } from '../../layers/ops.js'
import { clipFactor } from './clip-factor.js'
import { floats, hostValues, isWritable } from './device-program.js'
import { changeInPlace, rowsTogether } from './in-place.js'

/** WGSL of each rule: w, the slots, g and the uniforms of {@link numbersOf}. */
const codes: Readonly<Record<StepRule['name'], string>> = {
  sgd: 'w = w - uniforms.learningRate * g;',
  momentum: `
    a = uniforms.momentum * a + g;
    w = w - uniforms.learningRate * select(a, g + uniforms.momentum * a, uniforms.nesterov > 0.0);`,
  adam: `
    m = uniforms.beta1 * m + uniforms.rest1 * g;
    v = uniforms.beta2 * v + uniforms.rest2 * (g * g);
    w = w - uniforms.learningRate * (m / uniforms.correction1) / (sqrt(v / uniforms.correction2) + uniforms.epsilon);`,
}

/** The names of what a rule keeps for a weight. */
const slotNames: Readonly<Record<StepRule['name'], readonly string[]>> = {
  sgd: [],
  momentum: ['a'],
  adam: ['m', 'v'],
}

/** Steps weights where they lie, two or more in one dispatch, with their decay, l2 and the factor of the step. */
export function stepWeights(
  steps: readonly WeightStep[],
  rule: StepRule,
  { l2, clipNorm }: { readonly l2: number; readonly clipNorm?: number | undefined },
): boolean {
  const numbers = numbersOf(rule)
  if (!numbers) return false
  const names = slotNames[rule.name]
  const gradients = steps.map(({ gradient }) => gradient)
  const factor = clipNorm === undefined ? undefined : clipFactor(gradients, clipNorm)
  const isScaled = factor !== undefined && paysToScale(gradients, names.length + 2)
  if (isScaled) scale(gradients, factor)
  const clip = isScaled ? undefined : factor
  const step = `${rule.name[0]?.toUpperCase()}${rule.name.slice(1)}Step`
  changeInPlace({
    name: clip ? `Clipped${step}` : step,
    shared: clip ? { clip } : {},
    rows: steps.map(({ weight, gradient, slots, keptShare, factor }) => ({
      variables: { w: weight, ...Object.fromEntries(slots.map((slot, i) => [names[i] as string, slot])) },
      tensors: { raw: gradient },
      numbers: { kept: keptShare, times: factor },
    })),
    uniforms: { ...floats(numbers), ...floats({ l2 }) },
    code: `
    let start = w;
    let g = raw${clip ? ' * clipAt(0)' : ''} + select(0.0, uniforms.l2 * w, uniforms.l2 > 0.0);
    w = w * kept;
    ${codes[rule.name]}
    if (times != 1.0) { w = start + (w - start) * times; }`,
  })
  factor?.dispose()
  return true
}

/**
 * Whether fewer dispatches multiply gradients first and then step by them than step with the factor at hand: it takes one of the few
 * buffers of a dispatch. Only gradients that nothing else reads can be multiplied where they lie.
 *
 * @param buffers of the step of one weight
 */
function paysToScale(gradients: readonly tf.Tensor[], buffers: number): boolean {
  const dispatches = (together: number) => Math.ceil(gradients.length / together)
  const scaled = dispatches(rowsTogether(1, 1)) + dispatches(rowsTogether(buffers, 0))
  return scaled < dispatches(rowsTogether(buffers, 1)) && gradients.every(isWritable)
}

function scale(gradients: readonly tf.Tensor[], factor: tf.Tensor): void {
  changeInPlace({
    name: 'ClippedGradients',
    shared: { clip: factor },
    rows: gradients.map(gradient => ({ variables: { g: gradient }, tensors: {}, numbers: {} })),
    uniforms: {},
    code: 'g = g * clipAt(0);',
  })
}

/** Moves averages where they lie, two or more in one dispatch. */
export function moveAverages(
  steps: readonly AverageStep[],
  momentum: number,
  form: AverageForm = 'weighted',
): void {
  changeInPlace({
    name: form === 'weighted' ? 'MovingAverages' : 'MovingAveragesByDifference',
    rows: steps.map(({ average, value }) => ({ variables: { average }, tensors: { value }, numbers: {} })),
    uniforms: floats({ momentum, rest: 1 - momentum }),
    code:
      form === 'weighted'
        ? 'average = uniforms.momentum * average + uniforms.rest * value;'
        : 'average = average + uniforms.rest * (value - average);',
  })
}

/** What a rule's code is told; undefined where the host does not have Adam's powers. */
function numbersOf(rule: StepRule): Readonly<Record<string, number>> | undefined {
  const { learningRate } = rule
  if (rule.name === 'sgd') return { learningRate }
  if (rule.name === 'momentum') {
    return { learningRate, momentum: rule.momentum, nesterov: rule.nesterov ? 1 : 0 }
  }
  const { beta1, beta2, epsilon, powers } = rule
  const [power1, power2] = powers.map(power => hostValues(power)?.[0])
  if (power1 === undefined || power2 === undefined) return undefined
  return {
    learningRate,
    beta1,
    rest1: 1 - beta1,
    beta2,
    rest2: 1 - beta2,
    epsilon,
    correction1: 1 - power1,
    correction2: 1 - power2,
  }
}
