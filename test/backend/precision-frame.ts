import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach } from 'vitest'
import { setPrecision } from '../../src/backend/tensorflow/precision.js'
import { useTestBackend } from '../backend-under-test.js'

/** Runs every test of a file on the backend under test, in a scope of its own, and ends it in float32. */
export function inScopesOfFloat32(): void {
  beforeAll(async () => {
    await useTestBackend()
  })
  beforeEach(() => tf.engine().startScope())
  afterEach(() => {
    setPrecision('float32')
    tf.engine().endScope()
  })
}
