import type { LayersModel } from '@tensorflow/tfjs'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { matchingLayers } from '../../src/train/layer-patterns.js'
import { useTestBackend } from '../backend-under-test.js'
import { nestedModel, vggLike } from '../models/example-models.js'

beforeAll(async () => {
  await useTestBackend()
})
const models: LayersModel[] = []
afterEach(() => {
  for (const model of models.splice(0)) model.dispose()
})

function found(build: () => LayersModel, pattern: string): string[] {
  const model = build()
  models.push(model)
  return matchingLayers(model, pattern, 'test: layers').map(({ path }) => path)
}

it.each([
  ['conv3', ['conv3']],
  ['conv*', ['conv1', 'conv2', 'conv3', 'conv4']],
  ['conv?', ['conv1', 'conv2', 'conv3', 'conv4']],
  ['*', ['conv1', 'conv2', 'conv3', 'conv4', 'head']],
])('%s', (pattern, paths) => {
  expect(found(vggLike, pattern)).toEqual(paths)
})

it('finds layers of nested models by name and by path', () => {
  for (const pattern of ['conv', 'backbone/conv', 'backbone/*', '*/conv'])
    expect(found(nestedModel, pattern), pattern).toEqual(['backbone/conv'])
})

it('names the layers where none matches; a dot is a dot', () => {
  expect(() => found(nestedModel, 'conv.')).toThrow(
    'test: layers must match a layer with weights, got "conv." (layers: backbone/conv, head)',
  )
  expect(() => found(vggLike, 'pool1')).toThrow('got "pool1" (layers: conv1, conv2, conv3, conv4, head)')
})
