import { expect, it } from 'vitest'
import { noiseText, routingRecord, routingText } from '../../scripts/run/routing-text.js'
import { dispatchMetrics } from '../../src/train/routing/dispatch-metrics.js'
import type { SampleRoutingMetrics } from '../../src/train/routing/sample-routing-metrics.js'

const metrics: SampleRoutingMetrics = {
  layer: 'logits',
  images: 4,
  parts: 'groups',
  partNames: ['cluster 1', 'cluster 2'],
  expertNames: ['0', '3'],
  dispatch: dispatchMetrics([
    [2, 0],
    [2, 0],
  ]),
  deadExperts: [1],
  negativeGates: 0.25,
  noise: {
    dispatch: dispatchMetrics([
      [2, 0],
      [0, 2],
    ]),
    deadExperts: [],
    negativeGates: 0,
  },
}
const scores = { loss: 0.5, accuracy: 0.75, perClass: [0.5, 1] }

it('shows counts, entropy, dead experts by name and negative gates, without noise and with it', () => {
  const text = routingText(metrics)
  expect(text).toMatch(/group\s+expert 0\s+expert 3/)
  expect(text).toMatch(/cluster 2\s+2\s+0/)
  expect(text).toContain(
    'dispatch entropy 0.693 of at most 0.693 nats, experts without samples: 3, negative gates 25.0% (layer logits)',
  )
  expect(text).toMatch(/with the noise of training\n.*cluster 2\s+0\s+2.*experts without samples: none/s)
  expect(noiseText(scores)).toBe('with the noise of training: accuracy 75.0%, loss 0.5000\n')
})

it('says the same as JSON', () => {
  expect(routingRecord({ ...scores, count: 4, routing: [metrics], withNoise: scores })).toEqual({
    routing: [
      {
        layer: 'logits',
        parts: 'groups',
        experts: ['0', '3'],
        counts: { 'cluster 1': [2, 0], 'cluster 2': [2, 0] },
        entropy: Math.log(2),
        deadExperts: ['3'],
        negativeGates: 0.25,
        withNoise: {
          counts: { 'cluster 1': [2, 0], 'cluster 2': [0, 2] },
          entropy: 0,
          deadExperts: [],
          negativeGates: 0,
        },
      },
    ],
    withNoise: { accuracy: 0.75, loss: 0.5 },
  })
  expect(routingRecord({ ...scores, count: 4 })).toEqual({})
})
