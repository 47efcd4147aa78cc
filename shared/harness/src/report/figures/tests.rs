use super::*;
use crate::testing::{metric, record};
use crate::{Record, Tier};

fn plot(kind: PlotKind) -> Plot {
    Plot {
        kind,
        metric: if kind == PlotKind::Curves { "loss".into() } else { "accuracy".into() },
        title: "T".into(),
        x: "x".into(),
        y: "y".into(),
        of: vec![],
        against: None,
        log: false,
        x_log: false,
        scale: 1.0,
        x_scale: 1.0,
        settings: vec![],
        methods: vec![],
    }
}

fn experiment() -> Experiment {
    Experiment {
        name: "e".into(),
        title: String::new(),
        description: String::new(),
        tiers: vec![],
        data: vec![],
        metrics: vec![metric()],
        plots: vec![],
    }
}

fn drawn(plot: &Plot) -> Vec<Figure> {
    let mut records = Vec::new();
    for (setting, method, accuracy) in [("0 %", "sgd", 0.9), ("0 %", "sam", 0.8), ("40 %", "sgd", 0.5)] {
        for seed in 1..=3 {
            let mut record = record(setting, method, seed, accuracy + seed as f64 / 100.0);
            let metrics = &mut record.results.metrics;
            for (item, more) in [("fog", 0.1), ("gaussian_noise", 0.3)] {
                metrics.insert(format!("error_{item}"), 1.0 - accuracy + more + seed as f64 / 100.0);
                metrics.insert(format!("entropy_{item}"), 2.0 * more);
            }
            // One method has no number for one of the items.
            if method == "sam" {
                metrics.remove("error_fog");
            }
            record.results.curves.insert("loss".into(), vec![1.0, 0.5, if seed == 3 { f64::NAN } else { 0.2 }]);
            records.push(record);
        }
    }
    draw(plot, &experiment(), &Runs::new(Tier::Smoke, "flex", records, None))
}

#[test]
fn every_kind_draws_what_it_has() {
    let settings = drawn(&plot(PlotKind::Settings));
    assert_eq!(settings.len(), 1);
    assert_eq!(settings[0].body.matches("<polygon").count(), 2, "a band a method");
    let methods = drawn(&plot(PlotKind::Methods));
    assert_eq!(methods.iter().map(|f| f.title.as_str()).collect::<Vec<_>>(), ["T: 0 %", "T: 40 %"]);
    assert_eq!(methods[0].body.matches("opacity=\"0.45\"").count(), 6, "a point a seed");
    let curves = drawn(&plot(PlotKind::Curves));
    assert_eq!(curves[0].body.matches("opacity=\"0.3\"").count(), 6, "a thin line a seed");
    let one = drawn(&Plot { settings: vec!["40 %".into()], methods: vec!["sgd".into()], ..plot(PlotKind::Methods) });
    assert_eq!((one.len(), one[0].title.as_str()), (1, "T"));
    assert!(one[0].body.contains("series-1"), "the method keeps its color");
}

#[test]
fn a_plot_of_what_no_record_has_is_left_away() {
    for kind in [PlotKind::Settings, PlotKind::Methods, PlotKind::Curves, PlotKind::Matrix, PlotKind::Picture] {
        assert!(drawn(&Plot { metric: "other".into(), ..plot(kind) }).is_empty());
    }
    for kind in [PlotKind::Bars, PlotKind::Scatter] {
        assert!(drawn(&Plot { metric: "other_".into(), ..family(kind) }).is_empty());
    }
    assert!(drawn(&Plot { settings: vec!["none".into()], ..plot(PlotKind::Settings) }).is_empty());
}

fn family(kind: PlotKind) -> Plot {
    let against = (kind == PlotKind::Scatter).then(|| "entropy_".into());
    let of = ["fog", "gaussian_noise", "snow"].map(Into::into).into();
    Plot { metric: "error_".into(), of, against, scale: 100.0, ..plot(kind) }
}

#[test]
fn a_family_has_a_group_of_bars_for_each_member_with_numbers() {
    let bars = drawn(&family(PlotKind::Bars));
    assert_eq!(bars.iter().map(|f| f.title.as_str()).collect::<Vec<_>>(), ["T: 0 %", "T: 40 %"]);
    let body = &bars[0].body;
    assert_eq!(body.matches("<polygon").count(), 3, "three bars: {body}");
    assert_eq!(body.matches("<rect class=\"tip\"").count(), 3);
    assert!(body.contains("<title>fog, sgd: 22.0 [19.5, 24.5], n = 3</title>"), "{body}");
    assert!(body.contains("gaussian noise, sam:") && !body.contains("fog, sam:") && !body.contains("snow"), "{body}");
    assert!(body.contains("fill-series-0") && body.contains("fill-series-1"), "colors are those of the rows");
    assert!(!bars[0].wide);
    assert!(drawn(&Plot { log: true, ..family(PlotKind::Bars) }).len() == 2);
}

#[test]
fn a_family_of_curves_is_a_table_of_shades_for_each_method() {
    let records = [("a", 0.0), ("b", 0.1)].into_iter().flat_map(|(method, more)| {
        (1..=2).map(move |seed| {
            let mut record = record("s", method, seed, 0.5);
            let row = |values: &[f64]| values.iter().map(|value| value + more * seed as f64).collect::<Vec<_>>();
            record.results.curves =
                [("after_00", row(&[0.5])), ("after_01", row(&[0.25, 0.75]))].map(|(k, v)| (k.into(), v)).into();
            record
        })
    });
    let plot = Plot { metric: "after_".into(), scale: 100.0, ..plot(PlotKind::Matrix) };
    let figures = draw(&plot, &experiment(), &Runs::new(Tier::Smoke, "flex", records.collect(), None));
    assert_eq!(figures.iter().map(|f| f.title.as_str()).collect::<Vec<_>>(), ["T, a", "T, b"]);
    assert!(figures[0].body.contains("<tr><th scope=\"row\">1</th><td style=\"background:color-mix(in srgb, var(--series-0) 23%, transparent)\">50</td><td></td></tr>"), "{}", figures[0].body);
    // The mean of two seeds; lowest and highest over both methods.
    assert!(
        figures[0].body.contains("0%, transparent)\">25</td>")
            && figures[1].body.contains("60%, transparent)\">90</td>")
    );
}

#[test]
fn a_long_family_takes_the_pages_width() {
    let of: Vec<String> = (0..15).map(|index| format!("corruption_{index}")).collect();
    let mut record = record("s", "m", 1, 0.5);
    record.results.metrics.extend(of.iter().map(|item| (format!("error_{item}"), 0.5)));
    let plot = Plot { of, ..family(PlotKind::Bars) };
    let figures = draw(&plot, &experiment(), &Runs::new(Tier::Smoke, "flex", vec![record], None));
    assert!(figures[0].wide);
    for index in 0..15 {
        assert!(figures[0].body.contains(&format!("corruption {index}, m: 50.0, n = 1</title>")));
    }
}

#[test]
fn bars_show_numbers_below_zero_and_cut_an_interval_far_above_them() {
    let with = |values: [f64; 2]| {
        let record = |(seed, value): (u64, f64)| {
            let mut record = record("s", "m", seed, 0.5);
            record.results.metrics.insert("error_fog".into(), value);
            record
        };
        let records = (1..).zip(values).map(record).collect();
        draw(&family(PlotKind::Bars), &experiment(), &Runs::new(Tier::Smoke, "flex", records, None)).remove(0).body
    };
    let ticks = |body: &str| body.matches("text-anchor=\"end\"").count();
    assert!(with([-0.2, -0.21]).contains("−20"), "a bar below zero");
    // The interval of two seeds reaches from -300 to 376: the axis ends near the bar.
    let cut = with([0.1, 0.7]);
    assert!(!cut.contains("−") || cut.contains("[−"), "{cut}");
    assert!(!cut.contains(">\n100\n<") && ticks(&cut) > 3, "{cut}");
}

#[test]
fn a_scatter_has_a_point_for_each_method_and_item_that_has_both_numbers() {
    let scatter = drawn(&family(PlotKind::Scatter));
    assert_eq!(scatter.len(), 2);
    let body = &scatter[0].body;
    assert_eq!(body.matches("<circle class=\"tip\"").count(), 3, "{body}");
    assert!(
        body.contains("<title>gaussian noise, sgd: x 0.600 [0.600, 0.600], n = 3; y 42.0 [39.5, 44.5], n = 3"),
        "{body}"
    );
    let one = Plot { methods: vec!["sam".into()], of: vec!["fog".into()], ..family(PlotKind::Scatter) };
    assert!(drawn(&one).is_empty(), "a point needs both numbers");
}

#[test]
fn settings_can_lie_on_a_logarithmic_axis() {
    let records = || {
        let batches = ["batch 200", "batch 1", "batch 64", "batch 4", "batch 16"];
        batches.iter().map(|setting| record(setting, "m", 1, 0.5)).collect::<Vec<_>>()
    };
    let labels = |x_log| {
        let plot = Plot { x_log, ..plot(PlotKind::Settings) };
        let body = draw(&plot, &experiment(), &Runs::new(Tier::Smoke, "flex", records(), None)).remove(0).body;
        ["1", "4", "16", "64", "200"].iter().filter(|label| body.contains(&format!(">\n{label}\n<"))).count()
    };
    assert_eq!((labels(false), labels(true)), (4, 5), "on a linear axis 1 and 4 would touch");
}

#[test]
fn every_setting_and_method_shows_the_picture_of_its_first_seed_that_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\0\0\0\0\x40rest";
    let records: Vec<_> = [("fog", "a", 1), ("fog", "a", 2), ("fog", "b", 1), ("snow", "a", 1), ("snow", "b", 1)]
        .map(|(setting, method, seed)| record(setting, method, seed, 0.5))
        .into();
    let save = |index: usize, name: &str, bytes: &[u8]| {
        let path = Record::picture(&folder.path().join(format!("{}.json", records[index].identity.cell.id())), name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    save(1, "samples", png);
    save(2, "samples", png);
    save(3, "samples", png);
    save(4, "others", png);
    let runs = Runs { folder: Some(folder.path().into()), ..Runs::new(Tier::Smoke, "flex", records.clone(), None) };
    let plot = Plot { metric: "samples".into(), ..plot(PlotKind::Picture) };
    let figures = draw(&plot, &experiment(), &runs);
    let shown: Vec<_> = figures.iter().map(|figure| (figure.title.as_str(), figure.caption.as_str())).collect();
    assert_eq!(shown, [("T: fog, a", "a, seed 2"), ("T: fog, b", "b, seed 1"), ("T: snow", "a, seed 1")]);
    let start = "<img class=\"picture pixels\" alt=\"T: fog, a\" width=\"256\" height=\"64\" style=\"width:1024px\" \
                 src=\"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAQAAAABA";
    assert!(figures[0].body.starts_with(start), "{}", figures[0].body);
    let with_plot = Experiment { plots: vec![plot.clone()], ..experiment() };
    assert_eq!(pictures(&with_plot, &runs)[0].file, "sam/smoke-flex/e/fog/a/2.samples.png");
    save(3, "samples", b"no picture");
    assert_eq!(draw(&plot, &experiment(), &runs).len(), 2, "what is no PNG is not shown");
    assert!(draw(&plot, &experiment(), &Runs { folder: None, ..runs }).is_empty());
}
