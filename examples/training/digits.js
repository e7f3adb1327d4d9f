// Trains the demo's two-layer mixture on the digits that come with patch-moe: the same program in a page and in Node.
import { recipe, train, twoLayerPatchModel } from 'patch-moe'
import { datasetEntry } from 'patch-moe/data'

/**
 * Trains on the backend that is the current one.
 *
 * @param source the folder `digits8` of the samples
 * @param onEpoch is given each epoch's number, loss in training, accuracy on the test images and seconds
 */
export async function trainDigits({ source, epochs, samples }, onEpoch) {
  const name = 'digits-patches'
  const options = { samples, testSamples: samples, seed: 1 }
  const { train: images, test } = await datasetEntry(name).load(source, options)
  const { model: network, training } = recipe(name, 'two-layer-pmoe')
  const model = twoLayerPatchModel({ ...network, inputShape: images.shape, numClasses: 1, seed: 1 })
  const optimizer = { name: training.optimizer, learningRate: training.learningRate }
  const settings = { train: images, test, epochs, batchSize: training.batchSize, optimizer, seed: 1 }
  for await (const event of train(model, settings)) if (event.type === 'epoch') onEpoch(event)
  model.dispose()
}
