function a(t,i){let{name:e=String(i),layer:r}=t??{},n=/^\d+$/.test(e)?String(Number(e)+1):e;return r===void 0?`expert ${n}`:`expert ${n} of ${r}`}export{a};
