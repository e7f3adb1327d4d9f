import type { Evaluation, Scores } from '../../src/train/evaluate.js'
import type {
  SampleDispatchMetrics,
  SampleRoutingMetrics,
} from '../../src/train/routing/sample-routing-metrics.js'
import { textTable } from '../terminal/text-table.js'
import { percent } from '../terminal/training-log.js'

/** Which experts the samples chose, for people: a table of counts, the entropy, and what is wrong with experts. */
export function routingText(metrics: SampleRoutingMetrics): string {
  const { layer, expertNames, noise } = metrics
  return `
${countsTable(metrics, metrics)}
${sentence(metrics, expertNames)} (layer ${layer})
${noise ? `\nwith the noise of training\n${countsTable(metrics, noise)}\n${sentence(noise, expertNames)}\n` : ''}`
}

/** Loss and accuracy with noise, in one line. */
export function noiseText({ accuracy, loss }: Scores): string {
  return `with the noise of training: accuracy ${percent(accuracy)}, loss ${loss.toFixed(4)}\n`
}

/** What an evaluation says of the routing of samples, as values of JSON. */
export function routingRecord({ routing, withNoise }: Evaluation): object {
  return {
    ...(routing && { routing: routing.map(layerRecord) }),
    ...(withNoise && { withNoise: { accuracy: withNoise.accuracy, loss: withNoise.loss } }),
  }
}

function layerRecord(metrics: SampleRoutingMetrics): object {
  const { layer, parts, partNames, expertNames, noise } = metrics
  const record = ({ dispatch, deadExperts, negativeGates }: SampleDispatchMetrics) => ({
    counts: Object.fromEntries(partNames.map((name, part) => [name, dispatch.counts[part]])),
    entropy: dispatch.entropy,
    deadExperts: deadExperts.map(expert => expertNames[expert]),
    negativeGates,
  })
  return {
    layer,
    parts,
    experts: expertNames,
    ...record(metrics),
    ...(noise && { withNoise: record(noise) }),
  }
}

function countsTable(
  { parts, partNames, expertNames }: SampleRoutingMetrics,
  { dispatch: { counts } }: SampleDispatchMetrics,
): string {
  const rows = partNames.map((name, part) => [name, ...(counts[part] ?? []).map(String)])
  const what = parts === 'groups' ? 'group' : 'class'
  return textTable([what, ...expertNames.map(name => `expert ${name}`)], rows)
}

function sentence(
  { dispatch, deadExperts, negativeGates }: SampleDispatchMetrics,
  expertNames: readonly string[],
): string {
  const dead = deadExperts.map(expert => expertNames[expert]).join(', ')
  const blind = Math.log(dispatch.counts.length)
  return (
    `dispatch entropy ${dispatch.entropy.toFixed(3)} of at most ${blind.toFixed(3)} nats, ` +
    `experts without samples: ${dead === '' ? 'none' : dead}, negative gates ${percent(negativeGates)}`
  )
}
