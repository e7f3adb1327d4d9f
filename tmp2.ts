import { useBackend } from './src/backend/choose.js'
const t=performance.now(); console.log(await useBackend('tensorflow'), performance.now()-t)
