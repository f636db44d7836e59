// The patient's other series, of which one can be looked at beside this.

// `series`, and how many `more` there are, as `app/viewing/over.py` tells them. What is chosen stays.
export function offerOthers(viewer, series, more) {
  const [box, select, link] = ["others", "other", "beside"].map((name) => viewer.part(name));
  if (!series.length) return;
  const { value } = select;
  select.replaceChildren(...series.map(optionOf));
  if (more) select.append(left(more));
  if (!box.hidden) return void (select.value = value);
  const lead = () => {
    link.href = addressOf(select.value, viewer.current);
  };
  select.addEventListener("change", lead);
  for (const type of ["click", "auxclick"]) link.addEventListener(type, lead);
  lead();
  box.hidden = false;
}

const optionOf = ({ words, url, is_linked: isLinked }) => new Option(isLinked ? words : `${words} (not linked)`, url);

function left(more) {
  const option = new Option(`and ${more} more, on the patient's page`);
  option.disabled = true;
  return option;
}

// It begins with the slice that is shown.
export function addressOf(url, slice) {
  return slice ? `${url}?${new URLSearchParams({ at: slice.told.object, frame: slice.told.frame + 1 })}` : url;
}
