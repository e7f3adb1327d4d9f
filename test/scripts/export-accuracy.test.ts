import { expect, test } from 'vitest'
import { exportAccuracy } from '../../scripts/run/export-accuracy.js'
import type { Runtime } from '../../scripts/run/export-formats/model-runtime.js'

/** Answers with the given outputs, whatever it is asked; batches of 64 in turn. */
function answering(outputs: readonly (readonly number[])[]): Runtime {
  let first = 0
  return {
    name: 'fixed',
    run: async ([input]) => {
      const count = input!.shape[0] as number
      const rows = outputs.slice(first, first + count)
      first += count
      return [Float32Array.from(rows.flat())]
    },
    dispose: async () => {},
  }
}

const set = (labels: readonly number[]) => ({
  images: new Uint8Array(labels.length),
  labels: Int32Array.from(labels),
  count: labels.length,
  shape: [1, 1, 1] as const,
  classNames: ['a', 'b'],
})

test('counts what model and export are right about, and where they agree', async () => {
  const model = answering([
    [0.9, 0.1],
    [0.2, 0.8],
    [0.6, 0.4],
    [0.1, 0.9],
  ])
  const exported = answering([
    [0.8, 0.2],
    [0.7, 0.3],
    [0.6, 0.4],
    [0.6, 0.4],
  ])
  const { signal } = new AbortController()
  // Right: a, b, a, b. The export says a of all.
  expect(await exportAccuracy(model, exported, set([0, 1, 1, 1]), {}, signal)).toEqual({
    images: 4,
    model: 0.75,
    exported: 0.25,
    agreement: 0.5,
  })
})

test('one logit names class 1 above 0; a thousand images are enough', async () => {
  const outputs = Array.from({ length: 1100 }, (_, i) => [i % 2 === 0 ? 1 : -1])
  const { signal } = new AbortController()
  const labels = outputs.map(([logit]) => (logit! > 0 ? 1 : 0))
  const measured = await exportAccuracy(answering(outputs), answering(outputs), set(labels), {}, signal)
  expect(measured).toEqual({ images: 1024, model: 1, exported: 1, agreement: 1 })
})

test('ends when it is aborted', async () => {
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(exportAccuracy(answering([[1]]), answering([[1]]), set([0]), {}, signal)).rejects.toThrow(
    'enough',
  )
})
